import '../fixtures/full-scale.ts'
import './json-bytes.test.ts'
