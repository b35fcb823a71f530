import '../../fixtures/full-scale.ts'
import './faults.test.ts'
