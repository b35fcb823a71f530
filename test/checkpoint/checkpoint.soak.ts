import '../fixtures/full-scale.ts'
import './checkpoint.test.ts'
