import '../fixtures/full-scale.ts'
import './table-from-records.test.ts'
