import '../../fixtures/full-scale.ts'
import './response.test.ts'
