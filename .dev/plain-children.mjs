// What a test starts runs as a user starts it, and as fast: without tap's loader, which only coverage needs in there.
import processOnSpawn from 'process-on-spawn'

const { _TAPJS_PROCESSINFO_COVERAGE_: coverage, NODE_OPTIONS: options } = process.env
if (coverage === '0') {
  processOnSpawn.removeAllListeners()
  process.env.NODE_OPTIONS = (options ?? '')
    .replace(/"?--import=\S*(?:processinfo|plain-tests)[^\s"]*"?/g, '')
    .trim()
}
