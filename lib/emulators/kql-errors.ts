/** A query that the service refuses. `line` counts from 1, `position` from 0, as the service does. */
export class KqlError extends Error {
  override name = 'KqlError'
  readonly kind: 'SyntaxError' | 'SemanticError'
  readonly code: string
  readonly place?: { line: number; position: number; token: string }

  constructor(kind: KqlError['kind'], code: string, message: string, place?: KqlError['place']) {
    super(message)
    this.kind = kind
    this.code = code
    if (place) this.place = place
  }

  /** The body that the service answers with, status 400. */
  get body(): object {
    const inner = this.place
      ? {
          code: this.code,
          message: this.message,
          line: this.place.line,
          pos: this.place.position,
          token: this.place.token,
        }
      : { code: this.code, message: this.message }
    return {
      error: {
        message: 'The request had some invalid properties',
        code: 'BadArgumentError',
        correlationId: crypto.randomUUID(),
        innererror: {
          code: this.kind,
          message:
            this.kind === 'SyntaxError'
              ? 'A recognition error occurred in the query.'
              : 'A semantic error occurred.',
          innererror: inner,
        },
      },
    }
  }
}

/** The query stops making sense at `token`, which begins at `offset`. */
export function syntaxError(query: string, offset: number, token: string): KqlError {
  const before = query.slice(0, offset)
  const line = before.split('\n').length
  const position = offset - (before.lastIndexOf('\n') + 1)
  return new KqlError(
    'SyntaxError',
    'SYN0002',
    `Query could not be parsed at '${token}' on line [${line},${position}]`,
    { line, position, token },
  )
}

export function semanticError(message: string, code = 'SEM0100'): KqlError {
  return new KqlError('SemanticError', code, message)
}
