import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { generate } from 'selfsigned'
import t from 'tap'
import { AzureConnection } from '../../../lib/connectors/azure/connection.ts'
import { azureClouds, azureSpecs, checkAzureOptions } from '../../../lib/connectors/azure/options.ts'
import { AuthError } from '../../../lib/connectors/azure/tokens.ts'
import { declareOptions } from '../../../lib/core/options.ts'
import { AzureTrial } from '../../fixtures/azure-trial.ts'

const columns = [
  { name: 'TimeGenerated', type: 'datetime' },
  { name: 'n', type: 'long' },
] as const

async function start(t: { teardown(fn: () => Promise<void>): void }): Promise<AzureTrial> {
  const trial = await AzureTrial.start(t)
  trial.service.addTable('T', columns, [['2024-05-01T12:00:00Z', 1]])
  return trial
}

/** Sets variables of the environment for the time of a test. */
function environment(
  t: { teardown(fn: () => void): void },
  variables: Record<string, string | undefined>,
): void {
  for (const [name, value] of Object.entries(variables)) {
    const before = process.env[name]
    const set = (to: string | undefined) => {
      if (to === undefined) delete process.env[name]
      else process.env[name] = to
    }
    set(value)
    t.teardown(() => set(before))
  }
}

const noPrincipal = { tenant_id: undefined, client_id: undefined, client_secret: undefined }
const noDatabricks = {
  DATABRICKS_HOST: undefined,
  DATABRICKS_TOKEN: undefined,
  DATABRICKS_CLIENT_ID: undefined,
  DATABRICKS_CLIENT_SECRET: undefined,
}
const row = [{ TimeGenerated: new Date('2024-05-01T12:00:00Z'), n: 1 }]

t.test('four ways to sign in, end to end, in order of precedence', async (t) => {
  const trial = await start(t)
  const { entra, databricks } = trial.emulators
  const principal = {
    AZURE_TENANT_ID: entra.tenant_id,
    AZURE_CLIENT_ID: entra.client_id,
    AZURE_CLIENT_SECRET: entra.client_secret,
  }
  environment(t, {
    ...noDatabricks,
    DATABRICKS_HOST: databricks.url,
    DATABRICKS_TOKEN: databricks.token,
    ...principal,
    AZURE_TOKEN_CREDENTIALS: 'EnvironmentCredential',
  })
  let injected = 0
  const { credential } = trial.signedIn
  const all = {
    credential: {
      getToken: async (...given: unknown[]) => {
        injected++
        t.equal(given[0], 'https://api.loganalytics.io/.default')
        return credential.getToken()
      },
    },
    databricks_credential: databricks.credential_name,
    azure_default_credential: true,
  }
  const used = () => ({
    injected,
    lent: databricks.tokensLent,
    forms: entra.requests.filter(({ method }) => method === 'POST').length,
  })

  t.strictSame(await trial.read(all), row)
  t.strictSame(used(), { injected: 1, lent: 0, forms: 0 }, 'credential')
  t.strictSame(await trial.read({ ...all, credential: undefined }), row)
  t.strictSame(used(), { injected: 1, lent: 1, forms: 0 }, 'databricks_credential')
  entra.requests.length = 0
  t.strictSame(await trial.read({ ...noPrincipal, azure_default_credential: 'True' }), row)
  t.strictSame(used(), { injected: 1, lent: 1, forms: 1 }, 'azure_default_credential')
  environment(t, { AZURE_CLIENT_SECRET: 'wrong' })
  t.strictSame(
    await trial.read({ azureDefaultCredential: false, tenantId: entra.tenant_id, tenant_id: undefined }),
    row,
  )
  t.strictSame(used(), { injected: 1, lent: 1, forms: 2 }, 'service principal')
})

t.test('what is missing is said, before anything is asked', async (t) => {
  const trial = await start(t)
  environment(t, noDatabricks)
  const problems = (options: Record<string, unknown>) => {
    try {
      trial.source({ ...noPrincipal, ...options })
      return []
    } catch (error) {
      return (error as { problems: string[] }).problems
    }
  }
  t.match(problems({}), [/no way to sign in is complete: give a credential, or databricks_credential/])
  t.match(problems({ azure_default_credential: false }), [/no way to sign in/])
  t.strictSame(problems({ tenant_id: 'x' }), [
    'the service principal is incomplete: it lacks client_id and client_secret',
  ])
  t.strictSame(problems({ tenant_id: 'x', clientSecret: 'y' }), [
    'the service principal is incomplete: it lacks client_id',
  ])
  t.strictSame(problems({ databricks_credential: 'x' }), [
    'databricks_credential: needs the variable DATABRICKS_HOST in the environment',
  ])
  environment(t, { DATABRICKS_HOST: 'h h' })
  t.match(problems({ databricks_credential: 'x' }), [/DATABRICKS_HOST is not a host or URL/])
  environment(t, { DATABRICKS_HOST: 'adb-1.azuredatabricks.net' })
  t.match(problems({ databricks_credential: 'x' }), [
    /needs DATABRICKS_TOKEN, or DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET, in the environment$/,
  ])
  environment(t, { DATABRICKS_CLIENT_ID: 'id' })
  t.match(problems({ databricks_credential: 'x' }), [/\(DATABRICKS_CLIENT_SECRET is missing\)/])
  environment(t, { DATABRICKS_CLIENT_ID: undefined, DATABRICKS_CLIENT_SECRET: 's3cret' })
  t.match(problems({ databricks_credential: 'x' }), [/\(DATABRICKS_CLIENT_ID is missing\)/])
  t.strictSame(problems({ credential: { get: 1 } }), [
    'credential: expected a TokenCredential of @azure/identity (an object with a getToken method), got an object',
  ])
  t.match(problems({ tenant_id: 'x', client_id: 'y', client_secret: '' }), [
    /client_secret: expected a string that is not empty, got a secret string/,
  ])
  t.equal(trial.emulators.entra.count + trial.service.count, 0)
})

t.test('what the token service refuses is said, without the secret', async (t) => {
  const trial = await start(t)
  const { entra } = trial.emulators
  const secret = 'Wr0ng~Secret~Value'
  const cases = [
    [
      { client_secret: secret },
      {
        code: 'ERR_AUTH',
        status: 401,
        serviceCode: 'invalid_client',
        message: /AADSTS7000215: Invalid client secret/,
      },
    ],
    [
      { client_secret: secret, client_id: 'nobody' },
      { status: 400, serviceCode: 'unauthorized_client', message: /AADSTS700016/ },
    ],
    [
      { client_secret: secret, tenant_id: 'nowhere' },
      { status: 400, message: /AADSTS90002: Tenant 'nowhere' not found/ },
    ],
  ] as const
  for (const [options, expected] of cases) {
    const { error } = await trial.failure(options)
    t.match(error, { ...expected, connector: 'azure-monitor', attempts: 1 })
    t.notMatch(inspect(error, { depth: 20, showHidden: true }), secret)
    t.notMatch(JSON.stringify(error), secret)
  }
  t.equal(trial.service.count, 0)

  t.test('a credential of the user that fails', async (t) => {
    const failing = {
      getToken: async () => {
        throw new Error('log in first')
      },
    }
    t.match((await trial.failure({ credential: failing })).error, {
      code: 'ERR_AUTH',
      message: /log in first/,
      cause: { message: 'log in first' },
    })
    const empty = { getToken: async () => null }
    t.match((await trial.failure({ credential: empty })).error, {
      code: 'ERR_AUTH',
      message: /gave no token/,
    })
  })

  t.test('faults that pass are tried again', async (t) => {
    for (const fault of [
      { status: 503 },
      { status: 429, retryAfter: 0 },
      { reset: 'before' },
      { reset: 'after', match: '/token' },
      { reset: 'within', match: '/token' },
      { status: 500, match: '/token' },
    ] as const) {
      entra.fail(fault)
      const source = trial.source()
      t.strictSame(await source.toArray(), row, JSON.stringify(fault))
      t.match(source.stats, { requests: 1, retries: 1 })
    }
    t.match((await trial.failure({ authority_host: 'https://127.0.0.1:9', max_retries: 1 })).error, {
      code: 'ERR_AUTH',
      attempts: 2,
      message: /127\.0\.0\.1:9 failed: connect ECONNREFUSED/,
    })
    environment(t, {
      AZURE_TENANT_ID: entra.tenant_id,
      AZURE_CLIENT_ID: entra.client_id,
      AZURE_CLIENT_SECRET: entra.client_secret,
      AZURE_TOKEN_CREDENTIALS: 'EnvironmentCredential',
    })
    const byDefault = { ...noPrincipal, azure_default_credential: true, max_retries: 1 }
    const away = (await trial.failure({ ...byDefault, authority_host: 'https://127.0.0.1:9' })).error
    t.match(away, { code: 'ERR_AUTH', attempts: 2, message: /127\.0\.0\.1:9 failed: connect ECONNREFUSED/ })
    t.equal(away.status, undefined, 'there was no answer')
    t.match((await trial.failure({ ca: undefined })).error, {
      code: 'ERR_AUTH',
      attempts: 1,
      message: /certificate/,
    })
  })
})

t.test('where DefaultAzureCredential fails, each way says why', async (t) => {
  const trial = await start(t)
  const secret = 'Wr0ng~Secret~Value'
  environment(t, {
    PATH: t.testdir(),
    HOME: t.testdir(),
    AZURE_TOKEN_CREDENTIALS: 'dev',
    AZURE_CLIENT_SECRET: secret,
  })
  const byDefault = { ...noPrincipal, authority_host: undefined, azure_default_credential: true }
  const developer = (await trial.failure(byDefault)).error
  t.match(developer, { code: 'ERR_AUTH', attempts: 1 })
  t.match(developer.message, /none of \d ways to sign in worked: \(1\) /)
  t.match(developer.message, /Azure CLI could not be found/)
  t.match(developer.message, /PowerShell/)
  t.match(developer.message, /Azure Developer CLI couldn't be found/)
  t.notMatch(inspect(developer, { depth: 20, showHidden: true }), secret)

  const { entra } = trial.emulators
  environment(t, {
    AZURE_TOKEN_CREDENTIALS: 'EnvironmentCredential',
    AZURE_TENANT_ID: entra.tenant_id,
    AZURE_CLIENT_ID: entra.client_id,
  })
  const { error } = await trial.failure({ ...byDefault, authority_host: entra.url })
  t.match(error, { code: 'ERR_AUTH', status: 401, message: /AADSTS7000215: Invalid client secret/ })
  t.notMatch(inspect(error, { depth: 20, showHidden: true }), secret)
})

t.test('Databricks', async (t) => {
  const trial = await start(t)
  const { databricks } = trial.emulators
  const named = { ...noPrincipal, databricks_credential: databricks.credential_name }
  environment(t, { ...noDatabricks, DATABRICKS_HOST: `${databricks.url}/` })

  t.test('OAuth: the sign-in and the token are kept', async (t) => {
    environment(t, {
      DATABRICKS_CLIENT_ID: databricks.client_id,
      DATABRICKS_CLIENT_SECRET: databricks.client_secret,
    })
    databricks.requests.length = 0
    t.strictSame(await trial.read({ ...named, num_partitions: 6 }), row)
    t.strictSame(
      databricks.requests.map(({ path }) => path),
      ['/oidc/v1/token', '/api/2.1/unity-catalog/temporary-service-credentials'],
    )
    t.strictSame(JSON.parse(databricks.requests[1]!.body.toString()), {
      credential_name: databricks.credential_name,
      azure_options: { resources: ['https://api.loganalytics.io/.default'] },
    })
  })

  t.test('the token is renewed before it runs out', async (t) => {
    environment(t, { DATABRICKS_TOKEN: databricks.token })
    databricks.expiresIn = 100
    databricks.tokensLent = 0
    t.strictSame(await trial.read({ ...named, num_partitions: 6 }), row)
    t.ok(databricks.tokensLent > 1, `${databricks.tokensLent} tokens, each good for less than two minutes`)
    databricks.expiresIn = undefined
  })

  t.test('a token that is refused is asked for anew', async (t) => {
    environment(t, { DATABRICKS_TOKEN: databricks.token })
    trial.service.fail({ status: 503 })
    const source = trial.source(named)
    source.on('retry', () => trial.emulators.entra.expireTokens())
    t.strictSame(await source.toArray(), row)
  })

  t.test('refusals and faults', async (t) => {
    environment(t, { DATABRICKS_TOKEN: 'dapi-wrong-token' })
    const wrong = await trial.failure(named)
    t.match(wrong.error, {
      code: 'ERR_AUTH',
      status: 403,
      attempts: 1,
      message:
        /Databricks refused the service credential "azure-monitor" with status 403: PERMISSION_DENIED: Invalid access token/,
    })
    t.notMatch(inspect(wrong.error, { depth: 20, showHidden: true }), /dapi-wrong-token/)
    environment(t, { DATABRICKS_TOKEN: databricks.token })
    t.match((await trial.failure({ ...named, databricks_credential: 'other' })).error, {
      code: 'ERR_AUTH',
      status: 404,
      message: /Credential 'other' does not exist/,
    })
    for (const fault of [
      { status: 503 },
      { status: 429 },
      { reset: 'after' },
      { reset: 'within' },
      { body: 'no JSON' },
    ] as const) {
      databricks.fail(fault)
      const source = trial.source(named)
      t.strictSame(await source.toArray(), row, JSON.stringify(fault))
      t.equal(source.stats.retries, 1)
    }
    databricks.fail({ body: { aws_temp_credentials: {}, expiration_time: 1 } })
    t.match((await trial.failure(named)).error, {
      code: 'ERR_AUTH',
      message: /gave no Azure token: it may be one for another cloud/,
    })
    environment(t, {
      DATABRICKS_TOKEN: undefined,
      DATABRICKS_CLIENT_ID: databricks.client_id,
      DATABRICKS_CLIENT_SECRET: 'dose-wrong-secret',
    })
    const login = await trial.failure(named)
    t.match(login.error, {
      code: 'ERR_AUTH',
      status: 401,
      message: /Databricks refused the sign-in to the workspace with status 401: invalid_client/,
    })
    t.notMatch(inspect(login.error, { depth: 20, showHidden: true }), /dose-wrong-secret/)
    t.match((await trial.failure({ ...named, ca: undefined })).error, {
      code: 'ERR_AUTH',
      message: /certificate/,
    })
  })
})

t.test('clouds', async (t) => {
  t.strictSame(azureClouds, {
    public: {
      authorityHost: 'https://login.microsoftonline.com',
      queryEndpoint: 'https://api.loganalytics.io',
      queryAudience: 'https://api.loganalytics.io',
      ingestionAudience: 'https://monitor.azure.com',
    },
    government: {
      authorityHost: 'https://login.microsoftonline.us',
      queryEndpoint: 'https://api.loganalytics.us',
      queryAudience: 'https://api.loganalytics.us',
      ingestionAudience: 'https://monitor.azure.us',
    },
    china: {
      authorityHost: 'https://login.chinacloudapi.cn',
      queryEndpoint: 'https://api.loganalytics.azure.cn',
      queryAudience: 'https://api.loganalytics.azure.cn',
      ingestionAudience: 'https://monitor.azure.cn',
    },
  })
  const trial = await start(t)
  // Each cloud's hosts are shown by where a proxy is asked to go: no request leaves this machine.
  const { createServer } = await import('node:http')
  const asked: string[] = []
  const proxy = createServer()
  proxy.on('connect', (request, socket) => {
    asked.push(request.url!)
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
  })
  await new Promise<void>((done) => proxy.listen(0, '127.0.0.1', done))
  t.teardown(() => proxy.close())
  const through = { proxy: `http://127.0.0.1:${(proxy.address() as { port: number }).port}`, max_retries: 0 }
  // The library goes to the host that Microsoft prefers, which in China has another name.
  const authorities = {
    public: 'login.microsoftonline.com:443',
    government: 'login.microsoftonline.us:443',
    china: 'login.partner.microsoftonline.cn:443',
  }
  for (const [name, cloud] of Object.entries(azureClouds)) {
    const scopes: unknown[] = []
    const credential = {
      async getToken(scope: unknown) {
        scopes.push(scope)
        return { token: 'x', expiresOnTimestamp: Date.now() + 1e7 }
      },
    }
    asked.length = 0
    await trial.failure({ ...through, azure_cloud: name, endpoint: undefined, credential })
    t.strictSame(
      [asked, scopes],
      [[`${new URL(cloud.queryEndpoint).host}:443`], [`${cloud.queryAudience}/.default`]],
      name,
    )
    asked.length = 0
    await trial.failure({ ...through, azure_cloud: name.toUpperCase(), authority_host: undefined })
    t.equal(asked[0], authorities[name as 'public'], name)
    await trial.failure({
      ...through,
      azure_cloud: name,
      authority_host: 'https://authority.example',
      audience: 'https://a.example/.default',
    })
    t.equal(asked.at(-1), 'authority.example:443')
  }
  t.throws(() => trial.source({ azure_cloud: 'germany' }), {
    message: /azure_cloud: expected one of "public", "government", "china", got "germany"/,
  })
  t.throws(() => trial.source({ authority_host: 'http://127.0.0.1' }), {
    message: /authority_host: expected an https URL/,
  })
  t.throws(() => trial.source({ endpoint: 'https://u:p@h' }), {
    message: /endpoint: expected an https URL without a user/,
  })
  t.throws(() => trial.source({ audience: 'x' }), { message: /audience: expected the URI/ })
  const { entra } = trial.emulators
  t.match(
    (await trial.failure({ audience: 'https://other.example' })).error,
    { code: 'ERR_AUTH', status: 403 },
    'a token for somebody else',
  )
  t.ok(entra.requests.at(-1)!.body.toString().includes(encodeURIComponent('https://other.example/.default')))
})

t.test('a connection by itself, as the sink uses it', async (t) => {
  const trial = await start(t)
  const declaration = declareOptions('other', azureSpecs, checkAzureOptions)
  const { workspace_id, endpoint, ...signIn } = trial.target
  const connection = new AzureConnection('other', declaration.resolve(signIn), 'https://monitor.azure.com')
  const signal = new AbortController().signal
  const { entra } = trial.emulators
  const tokens = await Promise.all(Array.from({ length: 10 }, () => connection.tokens.get(signal)))
  t.equal(new Set(tokens.map(({ token }) => token)).size, 1)
  t.ok(entra.tokenValid(tokens[0]!.token, 'https://monitor.azure.com'))
  t.equal(entra.tokensIssued, 1)
  t.equal(
    connection.redact(`Bearer ${tokens[0]!.token} ${entra.client_secret}`),
    'Bearer [redacted] [redacted]',
  )
  t.equal(
    connection.redact(
      `?token=${encodeURIComponent(`${tokens[0]!.token}`)}&${tokens[0]!.token.toUpperCase()}`,
    ),
    '?token=[redacted]&[redacted]',
    'in the forms in which a service quotes it',
  )
  connection.tokens.invalidate('another one')
  t.equal(
    (await connection.tokens.get(signal)).token,
    tokens[0]!.token,
    'a token that is refused late spares its successor',
  )
  connection.tokens.invalidate(tokens[0]!.token)
  t.equal(connection.redact(tokens[0]!.token), '[redacted]', 'the answer that refuses a token may quote it')
  const second = (await connection.tokens.get(signal)).token
  t.not(second, tokens[0]!.token)
  t.equal(connection.redact(`${tokens[0]!.token} ${second}`), '[redacted] [redacted]', 'a late answer too')
  entra.fail({ stall: 'before' })
  connection.tokens.invalidate(undefined)
  const controller = new AbortController()
  const waiting = connection.tokens.get(controller.signal)
  controller.abort()
  await t.rejects(waiting, { name: 'AbortError' })
  const other = connection.tokens.get(signal)
  connection.close()
  const error = await other.then(
    () => undefined,
    (error: unknown) => error,
  )
  t.ok(error instanceof AuthError)
  t.notMatch(inspect(connection, { depth: 20, showHidden: true }), entra.client_secret)
})

t.test('a program that does not speak to Azure does not load its clients', async (t) => {
  const lib = resolve(dirname(fileURLToPath(import.meta.url)), '../../../lib')
  const packages = new Set<string>()
  const seen = new Set<string>()
  const follow = (file: string) => {
    if (seen.has(file)) return
    seen.add(file)
    const imports = /^(?:import|export)\s+(?!type\b)[^'"]*?from\s+'([^']+)'/gm
    for (const [, from] of readFileSync(file, 'utf8').matchAll(imports)) {
      if (from!.startsWith('.')) follow(resolve(dirname(file), from!))
      else packages.add(from!)
    }
  }
  follow(resolve(lib, 'index.ts'))
  t.ok(
    seen.has(resolve(lib, 'connectors/azure-monitor/query-client.ts')) && packages.has('node:https'),
    'the imports are followed',
  )
  t.strictSame(
    [...packages].filter((name) => name.startsWith('@azure/')),
    [],
  )
})

t.test('a federated token, or a certificate, in place of the secret', async (t) => {
  // Entra wants RSA.
  const issue = async () => {
    const { cert, private: key } = await generate([{ name: 'commonName', value: 'app' }], { keySize: 2048 })
    return { cert, key }
  }
  const { cert, key } = await issue()
  const folder = t.testdir({ token: 'federated-1', 'client.pem': `${cert}\n${key}` })
  const trial = await AzureTrial.start(t, { entra: { federated_token: 'federated-2', certificate: cert } })
  trial.service.addTable('T', columns, [['2024-05-01T12:00:00Z', 1]])
  const federated = { client_secret: undefined, federated_token_file: `${folder}/token` }
  const { error } = await trial.failure({ ...federated, max_retries: 0 })
  t.match(error, { code: 'ERR_AUTH', serviceCode: 'invalid_client' })
  writeFileSync(`${folder}/token`, 'federated-2')
  t.strictSame(await trial.read(federated), row, 'the file is read again')
  t.equal(new URLSearchParams(String(trial.emulators.entra.requests.at(-1)!.body)).get('client_secret'), null)
  for (const client_certificate of [`${folder}/client.pem`, `${cert}\n${key}`])
    t.strictSame(await trial.read({ client_secret: undefined, client_certificate }), row)
  const other = await issue()
  const wrong = await trial.failure({
    client_secret: undefined,
    client_certificate: `${other.cert}\n${other.key}`,
    max_retries: 0,
  })
  t.equal(wrong.error.code, 'ERR_AUTH')
  t.notMatch(inspect(wrong.error), 'PRIVATE KEY')
  const bad: [object, RegExp][] = [
    [{ federated_token_file: 'x' }, /client_secret and federated_token_file exclude each other/],
    [{ ...federated, tenant_id: undefined }, /incomplete: it lacks tenant_id/],
    [{ client_secret: undefined, client_certificate: `${cert}` }, /no PEM private key/],
    [{ client_secret: undefined, client_certificate: `${folder}/none` }, /can't read the certificate file/],
  ]
  for (const [options, message] of bad) t.throws(() => trial.source({ ...options }), { message })
})
