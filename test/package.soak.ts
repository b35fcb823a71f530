import './fixtures/full-scale.ts'
import './package.test.ts'
