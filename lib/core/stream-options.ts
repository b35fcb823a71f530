/** Options of Node's own streams, passed on to them. */
export interface StreamOptions {
  /** Rows that the stream buffers before it asks to wait. */
  highWaterMark?: number | undefined
  /** Destroys the stream when it fires. */
  signal?: AbortSignal | undefined
  /** Whether the stream emits 'close'. Default: true. */
  emitClose?: boolean | undefined
  /** Destroys the stream when an async listener rejects. Default: false. */
  captureRejections?: boolean | undefined
}
