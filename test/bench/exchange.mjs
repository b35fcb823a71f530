/** Ends a call of `node:http` or `node:https` with its body. @returns the response, whose bytes are still to be read */
export const exchange = (call, body) =>
  new Promise((resolve, reject) => {
    call.on('response', resolve)
    call.on('error', reject)
    call.end(body)
  })
