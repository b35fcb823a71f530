// The built package. BENCH_DIST names another build, to measure a change against the state before it.
const dist = process.env.BENCH_DIST
  ? new URL(`${process.env.BENCH_DIST}/`, 'file:')
  : new URL('../../dist/', import.meta.url)

/** A module of the build, by its path in lib without the ending. */
export const product = (path) => import(new URL(`${path}.js`, dist))
