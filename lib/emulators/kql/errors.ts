/** A query that the service refuses. `line` counts from 1, `pos` from 0, as the service does. */
export class KqlError extends Error {
  override name = 'KqlError'
  readonly kind: 'SyntaxError' | 'SemanticError'
  readonly inner: { code: string; message: string; line?: number; pos?: number; token?: string }

  constructor(kind: KqlError['kind'], inner: KqlError['inner']) {
    super(inner.message)
    this.kind = kind
    this.inner = inner
  }

  /** The body that the service answers with, status 400. @param hint what the emulator has to add */
  body(hint: string): object {
    const syntax = this.kind === 'SyntaxError'
    const message = syntax ? 'A recognition error occurred in the query.' : 'A semantic error occurred.'
    const innererror = { ...this.inner, message: `${this.inner.message} ${hint}` }
    return {
      error: {
        message: 'The request had some invalid properties',
        code: 'BadArgumentError',
        correlationId: crypto.randomUUID(),
        innererror: { code: this.kind, message, innererror },
      },
    }
  }
}

/** The query stops making sense at `token`, which begins at `offset`. */
export function syntaxError(query: string, offset: number, token: string): KqlError {
  const before = query.slice(0, offset)
  const line = before.split('\n').length
  const pos = offset - (before.lastIndexOf('\n') + 1)
  const message = `Query could not be parsed at '${token}' on line [${line},${pos}]`
  return new KqlError('SyntaxError', { code: 'SYN0002', message, line, pos, token })
}

export function semanticError(message: string, code = 'SEM0100'): KqlError {
  return new KqlError('SemanticError', { code, message })
}
