import './fixtures/full-scale.ts'
import './readme.test.ts'
