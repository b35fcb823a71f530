// Children of a test run as a user starts them, and as fast: without what this suite preloads, and without tap's loader
// unless coverage needs it. They may run in any folder, so no relative path may stay in NODE_OPTIONS.
import processOnSpawn from 'process-on-spawn'

const { _TAPJS_PROCESSINFO_COVERAGE_: coverage, NODE_OPTIONS: options = '' } = process.env
const dropped = coverage === '0' ? 'processinfo|plain-tests' : 'plain-tests'
if (coverage === '0') processOnSpawn.removeAllListeners()
process.env.NODE_OPTIONS = options
  .replace(new RegExp(`"?--import=\\S*(?:${dropped})[^\\s"]*"?`, 'g'), '')
  .trim()
