// A server in a process of its own: `node server.mjs <kind> <options as JSON>`. It says its url, then answers `count`.
const [kind, json] = process.argv.slice(2)
const servers = await import('./servers.mjs')
const server = await servers[kind](JSON.parse(json))
process.on('message', (message) => {
  if (message === 'count') process.send({ count: server.count() })
  if (message === 'stop') process.exit()
})
process.on('disconnect', () => process.exit())
process.send({ ...server.facts })
