import { CheckpointError } from '../core/errors.ts'

/**
 * Loads a package that only some stores need.
 *
 * @param spec the package and its range, as `npm install` accepts them
 * @throws CheckpointError (`ERR_CHECKPOINT`) if it is not installed, with the command that installs it
 */
export async function loadPeer<T>(spec: string, load: () => Promise<T>): Promise<T> {
  const name = spec.slice(0, spec.lastIndexOf('@'))
  try {
    return await load()
  } catch (error) {
    // By its words: loaders of tests and bundlers give it other codes.
    const { message } = error as Error
    if (!message.startsWith('Cannot find') || !message.includes(`'${name}'`)) throw error
    throw new CheckpointError(
      'ERR_CHECKPOINT',
      `this checkpoint store needs the package ${name}, which is not installed: npm install ${spec}`,
      { cause: error },
    )
  }
}
