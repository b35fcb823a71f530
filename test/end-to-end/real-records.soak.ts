import '../fixtures/full-scale.ts'
import './real-records.test.ts'
