// Generated from the option declarations by `npm run generate`. Do not edit.

/** Options of HTTP clients. In one spelling. */
export interface HttpFields {
  /** CA certificates to trust in place of the system's: PEM text, or the path of a PEM file. */
  ca?: string | Buffer | undefined
  /**
   * Client certificate, its chain after it, for servers that ask for one: PEM text, or the path of a PEM
   * file. Goes with `key`.
   */
  cert?: string | Buffer | undefined
  /** Private key of `cert`: PEM text, or the path of a PEM file. A secret: never shown. */
  key?: string | Buffer | undefined
  /** Passphrase of `key`, where that is encrypted. A secret: never shown. */
  passphrase?: string | undefined
  /**
   * Whether the certificate of the server is checked. `false` lets anybody in between read and change
   * what is sent. Default: `true`.
   */
  verify_ssl?: boolean | string | undefined
  /**
   * URL of a proxy: http, https, socks4, socks5 (names resolved here) or socks5h (by the proxy). Without
   * it the variables HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY count, in lower case too; NO_PROXY
   * takes hosts (with their subdomains), `*`, addresses and CIDR ranges. A secret: never shown. Default:
   * from the environment.
   */
  proxy?: string | URL | undefined
  /**
   * Age in seconds after which a connection is not used again, so that load spreads over the members
   * behind a balancer. After 429, 502, 503 and 504 it is not used again either. Default: `300`.
   */
  max_connection_seconds?: number | string | undefined
}
