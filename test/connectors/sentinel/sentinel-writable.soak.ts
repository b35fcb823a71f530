import '../../fixtures/full-scale.ts'
import './sentinel-writable.test.ts'
