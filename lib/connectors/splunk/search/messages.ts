import type { ConnectorError, ErrorDetails } from '../../../core/errors.ts'
import type { SourceFailure } from '../../../core/verdict.ts'

/** Creates errors with redacted messages. */
export interface ErrorMaker {
  /** Parts of messages that the user accepts. */
  readonly accepted: readonly string[]
  redact(text: string): string
  error(message: string, details?: ErrorDetails): ConnectorError
}

/** A message of splunkd beside the results. */
export interface SplunkMessage {
  /** `FATAL`, `ERROR`, `WARN`, `INFO` or `DEBUG`. */
  readonly type: string
  readonly text: string
}

/** Maximum characters of a message that are kept and matched. */
const longestLook = 10_000

/** What a message means for the answer that it came with. */
export type MessageMeaning =
  /** Too many searches run: ask later. */
  | 'busy'
  /** The result was cut short by a limit: ask for less. */
  | 'cut'
  /** The search failed, and may succeed another time. */
  | 'failed'
  /** The search can't succeed as it is. */
  | 'refused'
  /** The search sets its own time range, which replaces the requested one. */
  | 'timerange'
  | 'harmless'

/** Quotas of concurrent searches: of a user, a role, the instance. Of any type, also with status 200. */
const busy =
  /concurren(?:t|cy)|search not executed|could not be dispatched because|maximum number of (?:historical|real-?time|running|searches)|queued?\b.{0,60}\b(?:quota|limit)|too many searches/i

/** Limits that end a search early, though its answer looks whole. */
const cut =
  /disk (?:usage )?quota|maximum disk usage|srchDiskQuota|srchMaxTime|maximum (?:search )?(?:run ?time|time)|time ?out|timed out|srchTimeWin|time (?:range|window|span).{0,60}(?:clip|restrict|limit|exceed|reduc|truncat)|truncat|finaliz|auto-?finali[sz]|incomplete|not (?:all|complete)|partial results|max_?count|maxresultrows|maximum (?:number of )?(?:results|events|rows)|(?:result|event|row)s? (?:limit|count).{0,40}(?:reached|exceed)|limit .{0,40}(?:reached|exceeded)|results? (?:may|might|were|have been) .{0,30}(?:missing|dropped|removed|lost|limited)/i

/** Permanent faults of the search. */
const refused =
  /unknown search command|error in '|syntax|unbalanced|mismatched|unable to parse|could not be parsed|unparsable|invalid (?:argument|value|earliest|latest|time|search|option)|missing (?:argument|closing)|no such|does not exist|not found|unknown (?:user|sid)|permission|not (?:allowed|permitted|authorized|have the capability)|capability|forbidden|license|misspelled|expected|must (?:be|have)|requires? /i

/** Failed peers and dead searches: retried, even if the message also matches the list above. */
const peers =
  /peer|indexer|unable to distribute|search process did not exit|connection|temporar|try again|restart|unavailable|shutting down/i

/** Peers that did not answer: their events are missing, whatever the severity of the message. */
const unanswered =
  /(?:unable|fail(?:ed|ure)?|could not|can ?not|error)\b.{0,60}\b(?:distribute|connect|contact|communicat\w*|reach|talk)\b.{0,80}\b(?:peer|indexer)|\b(?:peer|indexer)s?\b.{0,150}(?:\bis down\b|status *= *"?down|\bnot respond|\bdid not\b|\bno response|unreachable|unavailable|timed? ?out|disconnected|quarantined|\bfailed\b|\bskipped|\bexcluded|partial results)/i

/**
 * Faults of knowledge objects, which splunkd reports with every search: fields may be missing, rows are not. A failed
 * command of the search does not count.
 */
const knowledge =
  /could not load lookup|\b(?:lookup table|lookup fields)\b|automatic lookup|\b(?:LOOKUP|EXTRACT|REPORT|EVAL|FIELDALIAS)-\w|(?:field|key-?value|index-time|search-time) extract(?:ion|or)|calculated field|field alias/i
const ofCommand = /error in '\w+' command|execute failed|search (?:process|failed|not executed)/i

/** A limit on logging, not on results. */
const ofLogs = /log messages|info\.csv|search\.log/i

const timerange = /timerange was substituted|time ?range.{0,40}substituted/i

/** https://docs.splunk.com/Documentation/Splunk/latest/RESTREF/RESTsearch */
export function meaningOf({ type, text: whole }: SplunkMessage): MessageMeaning {
  const kind = type.toUpperCase()
  const text = whole.slice(0, longestLook)
  if (timerange.test(text)) return 'timerange'
  if (unanswered.test(text)) return 'failed'
  if (kind !== 'FATAL' && knowledge.test(text) && !ofCommand.test(text)) return 'harmless'
  const isFailure = kind === 'FATAL' || kind === 'ERROR'
  if (kind !== 'INFO' && kind !== 'DEBUG') {
    if (busy.test(text)) return 'busy'
    if (cut.test(text) && !ofLogs.test(text)) return peers.test(text) ? 'failed' : 'cut'
  }
  if (!isFailure) return 'harmless'
  return refused.test(text) && !peers.test(text) ? 'refused' : 'failed'
}

const order: readonly MessageMeaning[] = ['refused', 'timerange', 'busy', 'cut', 'failed']

/**
 * The message that decides about an answer; undefined if all are harmless.
 * @param accepted parts of messages that count as harmless
 */
export function decisive(
  messages: readonly SplunkMessage[],
  accepted: readonly string[] = [],
): { meaning: MessageMeaning; message: SplunkMessage } | undefined {
  const counted = messages.filter(({ text }) => !accepted.some((part) => text.includes(part)))
  const found = counted.map((message) => ({ meaning: meaningOf(message), message }))
  for (const meaning of order) {
    const first = found.find((each) => each.meaning === meaning)
    if (first) return first
  }
  return undefined
}

/** The verdict of the messages of an answer; undefined if it may be complete. */
export function judged(messages: readonly SplunkMessage[], client: ErrorMaker): SourceFailure | undefined {
  const found = decisive(messages, client.accepted)
  if (!found) return undefined
  const { type, text } = found.message
  const said = client.redact(text)
  const details = { status: 200, serviceCode: type, serviceText: said }
  switch (found.meaning) {
    case 'busy':
      return {
        kind: 'retry',
        error: client.error(`too many searches run: ${said}`, details),
        holdAll: true,
      }
    case 'cut':
      return { kind: 'split', error: client.error(`the result is incomplete: ${said}`, details) }
    case 'refused':
      return { kind: 'fatal', error: client.error(`the search was refused: ${said}`, details) }
    case 'timerange':
      return {
        kind: 'fatal',
        error: client.error(
          `the search has a time range of its own, which replaces the window: ${said}. Remove earliest and latest from the search and its macros`,
          details,
        ),
      }
    default:
      return { kind: 'retry', error: client.error(`the search failed: ${said}`, details) }
  }
}

/** The messages of a parsed part of an answer. */
export function messagesIn(value: unknown): SplunkMessage[] {
  const given = (value as { messages?: unknown } | null | undefined)?.messages
  if (Array.isArray(given)) return given.flatMap(oneMessage)
  // Older forms: `{ "messages": { "fatal": ["…"] } }`.
  if (typeof given !== 'object' || given === null) return []
  return Object.entries(given).flatMap(([type, messages]) =>
    (Array.isArray(messages) ? messages : [messages]).map((text) => ({
      type: type.toUpperCase(),
      text: String(text).slice(0, longestLook),
    })),
  )
}

function oneMessage(value: unknown): SplunkMessage[] {
  if (typeof value !== 'object' || value === null) return []
  const { type, text } = value as Record<string, unknown>
  return [
    {
      type: typeof type === 'string' ? type : 'INFO',
      text: typeof text === 'string' ? text.slice(0, longestLook) : '',
    },
  ]
}
