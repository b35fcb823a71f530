import '../fixtures/full-scale.ts'
import './json.test.ts'
