import '../fixtures/full-scale.ts'
import './examples.test.ts'
