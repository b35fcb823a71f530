import { ConnectorError } from '../core/errors.ts'

/** What is known of a failure. */
export interface Trouble {
  readonly status?: number | undefined
  readonly error?: unknown
}

/** What to do about a failure, where that is known. */
export function adviceFor(text: string, { status, error }: Trouble): string | undefined {
  if (/self.signed|unable to (verify|get)|CERT_|certificate/i.test(text))
    return 'The certificate is not trusted: give the authority that issued it by --ca FILE ("ca" in a job file).'
  if (/ENOTFOUND|EAI_AGAIN/.test(text)) return 'The name of the host is not known: check the URL.'
  if (/ECONNREFUSED|ETIMEDOUT|EHOSTUNREACH|ECONNRESET|timeout/i.test(text))
    return 'Nothing answers there: check host and port, the proxy, and that a firewall lets it through.'
  if ((error instanceof ConnectorError && error.code === 'ERR_AUTH') || isAboutSecret({ text, status }))
    return 'Check the token or secret, that it is enabled and has not expired, and that its owner may do this.'
  if (status === 404) return 'The endpoint is not there: check the path of the URL, or the id.'
  return undefined
}

/** HEC's health endpoint answers a bad token with 400. */
export function isAboutSecret({
  text,
  status,
}: {
  readonly text: string
  readonly status?: number | undefined
}) {
  return status === 401 || status === 403 || /AADSTS7/.test(text) || (status === 400 && /token/i.test(text))
}
