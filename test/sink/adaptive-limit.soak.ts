import '../fixtures/full-scale.ts'
import './adaptive-limit.test.ts'
