import '../fixtures/full-scale.ts'
import './slice-feed.test.ts'
