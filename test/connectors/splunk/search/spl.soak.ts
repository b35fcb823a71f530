import '../../../fixtures/full-scale.ts'
import './spl.test.ts'
