import type { Answer } from './answer.ts'

/**
 * Every code of the HTTP Event Collector with its HTTP status and text.
 * https://help.splunk.com/en/splunk-enterprise/get-started/get-data-in/10.0/get-data-with-http-event-collector/troubleshoot-http-event-collector
 */
export const hecCodes: Readonly<Record<number, readonly [status: number, text: string]>> = {
  0: [200, 'Success'],
  1: [403, 'Token disabled'],
  2: [401, 'Token is required'],
  3: [401, 'Invalid authorization'],
  4: [403, 'Invalid token'],
  5: [400, 'No data'],
  6: [400, 'Invalid data format'],
  7: [400, 'Incorrect index'],
  8: [500, 'Internal server error'],
  9: [503, 'Server is busy'],
  10: [400, 'Data channel is missing'],
  11: [400, 'Invalid data channel'],
  12: [400, 'Event field is required'],
  13: [400, 'Event field cannot be blank'],
  14: [400, 'ACK is disabled'],
  15: [400, 'Error in handling indexed fields'],
  16: [400, 'Query string authorization is not enabled'],
  17: [200, 'HEC is healthy'],
  18: [503, 'HEC is unhealthy, queues are full'],
  19: [503, 'HEC is unhealthy, ack service unavailable'],
  20: [503, 'HEC is unhealthy, queues are full, ack service unavailable'],
  21: [400, 'Invalid token'],
  22: [400, 'Token disabled'],
  23: [503, 'Server is shutting down'],
  24: [200, 'HEC queue is approaching its capacity limit'],
  25: [200, 'HEC ACK is approaching its capacity limit'],
  26: [429, 'HEC queue is at capacity and cannot process any more requests'],
  27: [429, 'HEC ACK channel is at capacity and cannot process any more requests'],
  28: [
    400,
    'Data channel is missing. If you have multiple indexers, sticky session load balancers must be provisioned in front of them.',
  ],
}

/** The answer for a code. `eventNumber` and `ackId` are left out when undefined. */
export function hecAnswer(code: number, eventNumber?: number, ackId?: number): Answer {
  const [status, text] = hecCodes[code] ?? [400, 'Unknown']
  // JSON.stringify leaves undefined members out.
  return { status, body: { text, code, 'invalid-event-number': eventNumber, ackId } }
}

/** What the service gives for a path or method it doesn't know. */
export function notFound(status: 404 | 405): Answer {
  return { status, body: { text: 'The requested URL was not found on this server.', code: 404 } }
}

/** 413 and 415 come from the HTTP server below HEC, as a page. */
export function htmlError(status: 413 | 415): Answer {
  const text = status === 413 ? 'Content-Length too large' : 'Unsupported Media Type'
  return {
    status,
    headers: { 'content-type': 'text/html; charset=UTF-8' },
    body: `<!doctype html><html><head><title>${status} ${text}</title></head><body><h1>${text}</h1></body></html>\r\n`,
  }
}
