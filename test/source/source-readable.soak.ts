import '../fixtures/full-scale.ts'
import './source-readable.test.ts'
