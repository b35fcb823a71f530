import type { Duplex } from 'node:stream'
import type { Slice } from '../core/slice.ts'
import type { PlainWindow } from '../core/window.ts'

/** An async generator function from rows to rows, as `pipeline` takes it. */
export type RowGenerator = (rows: AsyncIterable<Record<string, unknown>>) => AsyncIterable<unknown>

/** What may stand between source and sink. */
export type TransformStage = Duplex | RowGenerator

/** Makes a window's stages afresh: one or several in order. */
export type MakeTransform<S extends Slice = PlainWindow> = (
  window: S,
) => TransformStage | readonly TransformStage[]
