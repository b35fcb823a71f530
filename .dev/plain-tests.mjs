// Without coverage, tap's loaders only make each module of a test slower to load, by half of what a short test costs:
// those of coverage, and of mocks, of which there are none here. Preloaded by NODE_OPTIONS, as tap's own come before
// what .taprc names.
import module, { syncBuiltinESMExports } from 'node:module'

const { register } = module
module.register = (specifier, options) => {
  const isOfTap = /@tapjs\/(?:processinfo|mock)\//.test(String(options?.parentURL))
  return isOfTap ? undefined : register(specifier, options)
}
syncBuiltinESMExports()
