import t from 'tap'
import { parseProxy, proxyFromEnvironment } from '../../lib/http/proxy.ts'

t.test('what a proxy may be', async (t) => {
  for (const [text, url] of [
    ['http://proxy:3128', 'http://proxy:3128'],
    ['https://proxy', 'https://proxy'],
    ['HTTP://proxy:3128/', 'HTTP://proxy:3128/'],
    [' http://proxy:3128\n', 'http://proxy:3128'],
    ['proxy:3128', 'http://proxy:3128'],
    ['proxy', 'http://proxy'],
    ['10.0.0.1:3128', 'http://10.0.0.1:3128'],
    ['[::1]:3128', 'http://[::1]:3128'],
    ['ann:secret@proxy:3128', 'http://ann:secret@proxy:3128'],
    ['socks5://proxy:1080', 'socks5://proxy:1080'],
    ['socks5h://ann:secret@proxy', 'socks5h://ann:secret@proxy'],
    ['socks4://proxy', 'socks4://proxy'],
    ['socks://proxy', 'socks://proxy'],
    ['', undefined],
    ['  ', undefined],
    ['ftp://proxy', undefined],
    ['http://', undefined],
    ['http://proxy/path', undefined],
    ['http://proxy?x', undefined],
    ['proxy:port', undefined],
    ['http://a b', undefined],
  ] as const)
    t.equal(parseProxy(text), url, text)
})

t.test('which proxy a URL gets by the environment', async (t) => {
  const https = 'https://host.example:8443/path'
  const http = 'http://host.example/path'
  for (const [environment, url, proxy] of [
    [{}, https, ''],
    [{ HTTPS_PROXY: 'http://p:1' }, https, 'http://p:1'],
    [{ https_proxy: 'http://p:1' }, https, 'http://p:1'],
    [{ https_proxy: 'http://low:1', HTTPS_PROXY: 'http://up:1' }, https, 'http://low:1'],
    [{ https_proxy: '', HTTPS_PROXY: 'http://up:1' }, https, 'http://up:1'],
    [{ HTTPS_PROXY: 'p:3128' }, https, 'http://p:3128'],
    [{ HTTPS_PROXY: 'http://p:1' }, http, ''],
    [{ HTTP_PROXY: 'http://p:1' }, http, 'http://p:1'],
    [{ HTTP_PROXY: 'http://p:1' }, https, ''],
    [{ ALL_PROXY: 'http://p:1' }, https, 'http://p:1'],
    [{ all_proxy: 'socks5://p:1' }, http, 'socks5://p:1'],
    [{ ALL_PROXY: 'http://all:1', HTTPS_PROXY: 'http://p:1' }, https, 'http://p:1'],
    [{ HTTPS_PROXY: 'http://p:1', NO_PROXY: 'host.example' }, https, ''],
    [{ HTTPS_PROXY: 'http://p:1', no_proxy: 'host.example' }, https, ''],
    [{ HTTPS_PROXY: 'http://p:1', no_proxy: 'other', NO_PROXY: 'host.example' }, https, 'http://p:1'],
    [{ ALL_PROXY: 'http://p:1', NO_PROXY: 'host.example' }, https, ''],
    [{ HTTPS_PROXY: 'ftp://p:1', NO_PROXY: '*' }, https, ''],
  ] as const)
    t.equal(proxyFromEnvironment(url, environment), proxy, `${JSON.stringify(environment)} ${url}`)
  for (const value of ['ftp://ann:secret@p', 'http://ann:secret@p/path']) {
    t.throws(() => proxyFromEnvironment(https, { HTTPS_PROXY: value }), {
      code: 'ERR_OPTION',
      message: /^the variable HTTPS_PROXY of the environment: expected the URL of a proxy: (?!.*secret)/,
    })
  }
})

t.test('what NO_PROXY sends directly', async (t) => {
  const direct = (list: string, host: string) =>
    proxyFromEnvironment(`https://${host}/`, { HTTPS_PROXY: 'http://p:1', NO_PROXY: list }) === ''
  for (const [list, yes, no] of [
    ['*', ['a', '10.0.0.1', '[::1]'], []],
    ['', [], ['a']],
    [' , ,', [], ['a', '10.0.0.1']],
    ['example.com', ['example.com', 'EXAMPLE.com', 'example.com.', 'a.example.com', 'b.a.example.com', 'example.com:8443'], ['badexample.com', 'example.com.evil', 'com']],
    ['.example.com', ['example.com', 'a.example.com'], ['badexample.com']],
    ['*.example.com', ['a.example.com', 'b.a.example.com'], ['example.com', 'badexample.com']],
    ['*example.com', ['example.com', 'badexample.com'], ['example.org']],
    ['Example.COM.', ['example.com'], []],
    ['a,b c\td\ne', ['a', 'b', 'c', 'd', 'e'], ['f']],
    ['a:8443', ['a:8443'], ['a', 'a:443', 'b:8443']],
    ['a:443', ['a', 'a:443'], ['a:8443']],
    ['*:8443', ['x:8443', '10.0.0.1:8443'], ['x']],
    ['b\u00fccher.example', ['b\u00fccher.example', 'xn--bcher-kva.example'], []],
    ['10.0.0.1', ['10.0.0.1'], ['10.0.0.11', '110.0.0.1', '10.0.0.1.example']],
    ['10.0.0.1:8443', ['10.0.0.1:8443'], ['10.0.0.1']],
    ['10.*', ['10.0.0.1', '10.255.1.1'], ['110.0.0.1']],
    ['10.0.0.0/8', ['10.0.0.1', '10.255.255.255'], ['11.0.0.1', '10.example', '[::1]']],
    ['192.168.1.128/25,172.16.0.0/12', ['192.168.1.128', '192.168.1.255', '172.31.0.1'], ['192.168.1.127', '172.32.0.1']],
    ['10.1.2.3/8', ['10.9.9.9'], []],
    ['0.0.0.0/0', ['1.2.3.4'], ['[::1]', 'host']],
    ['10.0.0.0/33', [], ['10.0.0.1']],
    ['10.0.0.0/', [], ['10.0.0.1']],
    ['::1', ['[::1]', '[::1]:8443', '[0:0:0:0:0:0:0:1]'], ['[::2]', 'x']],
    ['[::1]', ['[::1]', '[::1]:8443'], ['[::2]']],
    ['[::1]:8443', ['[::1]:8443'], ['[::1]']],
    ['fd00::/8', ['[fd00::1]', '[fdff::1]'], ['[fe80::1]', '10.0.0.1']],
    ['[fd00::]/8', ['[fd00::1]'], ['[fe80::1]']],
    ['2001:db8::1:8443', ['[2001:db8::1:8443]'], ['[2001:db8::1]:8443']],
    ['10.0.0.0/8', ['[::ffff:10.0.0.1]'], ['[::ffff:11.0.0.1]']],
    ['localhost,127.0.0.1,::1', ['localhost', '127.0.0.1', '[::1]'], ['127.0.0.2']],
    ['(', [], ['a']],
  ] as const) {
    for (const host of yes) t.ok(direct(list, host), `${JSON.stringify(list)}: ${host} directly`)
    for (const host of no) t.notOk(direct(list, host), `${JSON.stringify(list)}: ${host} by the proxy`)
  } // biome-ignore format: a table
})
