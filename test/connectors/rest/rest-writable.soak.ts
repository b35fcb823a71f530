import '../../fixtures/full-scale.ts'
import './rest-writable.test.ts'
