import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { RestWritable } from '../../../lib/connectors/rest/index.ts'
import { createCertificateAuthority } from '../../../lib/emulators/certificates.ts'
import { LocalProxy } from '../../fixtures/proxy.ts'
import { deliver } from '../../fixtures/sink-trial.ts'

const elsewhere = 'other.example'

/** A server with a certificate for these hosts, which notes what it was asked for. */
async function serve(t: Test, hosts: readonly string[]) {
  const authority = await createCertificateAuthority()
  const asked: { host: string | undefined; servername: string | false | undefined }[] = []
  const server = createServer(await authority.issue(hosts), (request, response) => {
    asked.push({
      host: request.headers.host,
      servername: (request.socket as TLSSocket & { servername?: string | false }).servername,
    })
    request.resume().on('end', () => response.end())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { ca: authority.ca, port: (server.address() as AddressInfo).port, asked }
}

const headers = { host: elsewhere }
const single = { max_retries: 0 }

for (const proxied of [false, true]) {
  t.test(`a header Host${proxied ? ', through a proxy' : ''}`, async (t) => {
    const proxy = proxied ? await new LocalProxy().start() : undefined
    t.teardown(() => proxy?.close())
    const through = proxy && { proxy: `http://127.0.0.1:${proxy.port}` }
    const send = (url: string, options: object) =>
      deliver([{ n: 1 }], new RestWritable({ url, ...single, ...through, ...options }))

    await t.test('a certificate of that other name does not count', async (t) => {
      const { ca, port, asked } = await serve(t, [elsewhere])
      for (const host of ['localhost', '127.0.0.1']) {
        t.match(await send(`https://${host}:${port}/`, { ca, headers }), {
          code: 'ERR_DELIVERY',
          cause: { code: 'ERR_TLS_CERT_ALTNAME_INVALID' },
          rows: [{ n: 1 }],
        })
      }
      t.same(asked, [], 'no row went there')
    })

    await t.test('the certificate of the name in `url` does, and the header arrives', async (t) => {
      const { ca, port, asked } = await serve(t, ['localhost', '127.0.0.1'])
      t.equal(await send(`https://localhost:${port}/`, { ca, headers }), undefined)
      t.equal(await send(`https://127.0.0.1:${port}/`, { ca, http_header_host: elsewhere }), undefined)
      t.same(asked, [
        { host: elsewhere, servername: 'localhost' },
        // RFC 6066 has no addresses as names.
        { host: elsewhere, servername: false },
      ])
    })
  })
}
