import { ConnectorError, type ErrorCode } from '../../core/errors.ts'
import { cleanError, type Redact } from '../../core/redaction.ts'
import { isTransientFault } from '../../core/retry.ts'
import { AuthError } from '../azure/tokens.ts'
import type { DataLossEvent } from './events.ts'

/** The registered name. */
export const connectorName = 'kafka'

/** What brokers answer that stays so until somebody changes something. All other answers may change by themselves. */
const permanentCodes = new Set([
  'FENCED_INSTANCE_ID',
  'INCONSISTENT_GROUP_PROTOCOL',
  'INVALID_COMMIT_OFFSET_SIZE',
  'INVALID_GROUP_ID',
  'INVALID_RECORD',
  'INVALID_REQUEST',
  'INVALID_REQUIRED_ACKS',
  'INVALID_SESSION_TIMEOUT',
  'INVALID_TIMESTAMP',
  'INVALID_TOPIC_EXCEPTION',
  'MESSAGE_TOO_LARGE',
  'OFFSET_METADATA_TOO_LARGE',
  'OFFSET_OUT_OF_RANGE',
  'POLICY_VIOLATION',
  'RECORD_LIST_TOO_LARGE',
  'SECURITY_DISABLED',
  'UNSUPPORTED_COMPRESSION_TYPE',
  'UNSUPPORTED_FOR_MESSAGE_FORMAT',
  'UNSUPPORTED_VERSION',
])

/** The credentials, or what they may do. */
const authCodes = /^(?:\w+_AUTHORIZATION_FAILED|SASL_AUTHENTICATION_FAILED|UNSUPPORTED_SASL_MECHANISM)$/

/** Answers after which the leaders of partitions have to be asked for again. */
const staleCodes = new Set([
  'FENCED_LEADER_EPOCH',
  'INCONSISTENT_TOPIC_ID',
  'KAFKA_STORAGE_ERROR',
  'LEADER_NOT_AVAILABLE',
  'LISTENER_NOT_FOUND',
  'NOT_LEADER_OR_FOLLOWER',
  'REPLICA_NOT_AVAILABLE',
  'UNKNOWN_LEADER_EPOCH',
  'UNKNOWN_TOPIC_ID',
  'UNKNOWN_TOPIC_OR_PARTITION',
])

/** The client's code of a sign-in that failed. */
const signInFault = 'PLT_KFK_AUTHENTICATION'

/** What an error of the Kafka client may carry: a broker's answer, the errors of several brokers, a response. */
interface ClientError extends Error {
  readonly code?: string
  readonly apiId?: string
  readonly apiCode?: number
  readonly path?: string
  readonly serverErrorMessage?: string | null
  readonly memberId?: string
  readonly errors?: readonly unknown[]
}

/** A request to a broker that failed, and what that means. */
export class KafkaFailure extends ConnectorError {
  override name = 'KafkaFailure'
  /** Whether the same request may succeed later. */
  readonly transient: boolean
  /** Whether the connection failed, so that the broker may have done what it was asked for. */
  readonly unanswered: boolean
  /** Milliseconds that a token service asked to wait. */
  readonly after: number | undefined
  /** The id that a new member of a group is to join with. */
  readonly memberId: string | undefined
  /** The offsets, if messages have expired before they were read. */
  readonly loss: DataLossEvent | undefined

  constructor(
    code: ErrorCode,
    text: string,
    { transient = false, unanswered = false, after, kafkaCode, memberId, loss, cause }: FailureDetails = {},
  ) {
    super(code, `${connectorName}: ${text}`, {
      connector: connectorName,
      serviceCode: kafkaCode,
      serviceText: text,
      cause,
    })
    this.transient = transient
    this.unanswered = unanswered
    this.after = after
    this.memberId = memberId
    this.loss = loss
  }

  /** Whether the leaders of partitions have to be asked for again. */
  get isStale(): boolean {
    return this.unanswered || staleCodes.has(String(this.serviceCode))
  }
}

interface FailureDetails {
  readonly transient?: boolean
  readonly unanswered?: boolean
  readonly after?: number | undefined
  /** Kafka's name of the error, such as `NOT_LEADER_OR_FOLLOWER`. */
  readonly kafkaCode?: string | undefined
  readonly memberId?: string | undefined
  readonly loss?: DataLossEvent | undefined
  readonly cause?: unknown
}

/** The failure that was caught. @throws the signal's reason, and any other error */
export function caughtFailure(error: unknown, signal: AbortSignal): KafkaFailure {
  signal.throwIfAborted()
  if (error instanceof KafkaFailure) return error
  throw error
}

/** What an error of the client means. @param what names the request, for the error */
export function failureOf(error: unknown, what: string, redact: Redact): KafkaFailure {
  if (error instanceof KafkaFailure) return error
  const all = [...errorsIn(error)]
  const cause = cleanError(error, redact)
  const token = all.find((each) => each instanceof AuthError)
  if (token) {
    const { transient, wait: after, message } = token
    return new KafkaFailure('ERR_AUTH', message.replace(/^kafka: /, ''), { transient, after, cause })
  }
  const answer = all.find(({ apiId }) => apiId !== undefined)
  // Asked for a handshake: the listener knows of none.
  if (answer?.apiId === 'ILLEGAL_SASL_STATE' && all.some(({ code }) => code === signInFault))
    return new KafkaFailure('ERR_AUTH', `${what}: the listener takes no sign-in by SASL`, { cause })
  if (answer) return answerFailure(answer, what, redact, cause)
  const leaves = all.filter((each) => childrenOf(each).length === 0)
  const words = all.find(({ message }) => message.includes('verify the broker supports TLS'))
  const text = redact(`${what}: ${(words ?? leaves[0])?.message || 'the connection failed'}`)
  // SCRAM and the like fail without an answer's code where the two sides do not know each other's secret.
  if (leaves.some(({ code }) => code === signInFault)) return new KafkaFailure('ERR_AUTH', text, { cause })
  const transient = leaves.some(
    (leaf) =>
      leaf.code === 'PLT_KFK_NETWORK' ||
      leaf.code === 'PLT_KFK_UNEXPECTED_CORRELATION_ID' ||
      // An answer that the client misread, such as one that names a new leader.
      leaf.code === 'OUT_OF_BOUNDS' ||
      isTransientFault(leaf),
  )
  return new KafkaFailure('ERR_DELIVERY', text, { transient, unanswered: transient, cause })
}

/** What an error code in an answer means. */
function answerFailure(answer: ClientError, what: string, redact: Redact, cause: Error): KafkaFailure {
  const { apiId: kafkaCode = '', message, serverErrorMessage } = answer
  const text = redact(`${what}: ${kafkaCode}: ${serverErrorMessage || message}`)
  if (authCodes.test(kafkaCode)) return new KafkaFailure('ERR_AUTH', text, { kafkaCode, cause })
  const transient = !permanentCodes.has(kafkaCode)
  return new KafkaFailure('ERR_QUERY', text, {
    transient,
    // The leader has it, and whether it stays is not known.
    unanswered: kafkaCode === 'REQUEST_TIMED_OUT' || kafkaCode === 'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
    kafkaCode,
    memberId: answer.memberId,
    cause,
  })
}

/** An error, its causes, and those of each broker that was tried. */
function* errorsIn(error: unknown, depth = 0): Generator<ClientError> {
  if (!(error instanceof Error) || depth > 8) return
  yield error as ClientError
  for (const child of childrenOf(error)) yield* errorsIn(child, depth + 1)
}

function childrenOf(error: Error): readonly unknown[] {
  const { errors = [] } = error as ClientError
  return [...(error.cause === undefined ? [] : [error.cause]), ...errors]
}
