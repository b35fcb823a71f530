import '../fixtures/full-scale.ts'
import './flush.test.ts'
