import '../fixtures/full-scale.ts'
import './batching-writable.test.ts'
