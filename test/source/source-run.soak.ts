import '../fixtures/full-scale.ts'
import './source-run.test.ts'
