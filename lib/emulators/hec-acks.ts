/** When acknowledgements turn true. */
export interface AckPace {
  /** Milliseconds after the data was taken in. */
  delay: number
  /** How many asks are answered `false` first. */
  polls: number
}

interface PendingAck {
  takenAt: number
  polls: number
  lost: boolean
}

interface Channel {
  next: number
  pending: Map<number, PendingAck>
}

/** The acknowledgement ids of one indexer: counted from 0 in each channel, reported `true` once, then forgotten. */
export class AckLedger {
  #channels = new Map<string, Channel>()

  /** Gives the next id of the channel. A `lost` one never turns true. */
  issue(channel: string, lost: boolean): number {
    const known = this.#channels.get(channel) ?? { next: 0, pending: new Map() }
    this.#channels.set(channel, known)
    const id = known.next++
    known.pending.set(id, { takenAt: Date.now(), polls: 0, lost })
    return id
  }

  /** Whether the id is acknowledged now. Unknown ids, other channels' ids and ids reported before are not. */
  ask(channel: string, id: number, pace: AckPace): boolean {
    const pending = this.#channels.get(channel)?.pending
    const ack = pending?.get(id)
    if (!ack || ack.lost) return false
    if (ack.polls++ < pace.polls || Date.now() - ack.takenAt < pace.delay) return false
    pending?.delete(id)
    return true
  }

  /** Ids given out and not yet reported true. */
  get pending(): number {
    let count = 0
    for (const channel of this.#channels.values()) count += channel.pending.size
    return count
  }
}
