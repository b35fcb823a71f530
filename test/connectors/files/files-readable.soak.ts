import '../../fixtures/full-scale.ts'
import './files-readable.test.ts'
