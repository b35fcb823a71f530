import '../../../fixtures/full-scale.ts'
import './property.test.ts'
