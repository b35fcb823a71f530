import '../fixtures/full-scale.ts'
import './batch-readable.test.ts'
