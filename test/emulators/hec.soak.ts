import '../fixtures/full-scale.ts'
import './hec.test.ts'
