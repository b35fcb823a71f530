import '../fixtures/full-scale.ts'
import './crash.test.ts'
