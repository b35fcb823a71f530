import '../../fixtures/full-scale.ts'
import './windows.test.ts'
