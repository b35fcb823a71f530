import '../fixtures/full-scale.ts'
import './log-analytics.test.ts'
