import { CheckpointError } from '../core/errors.ts'
import { importPackage, MissingPackage } from '../core/optional-package.ts'

/**
 * Loads a package that only some stores need.
 *
 * @param spec the package and its range, as `npm install` accepts them
 * @throws CheckpointError (`ERR_CHECKPOINT`) if it is not installed, with the command that installs it
 */
export async function loadPeer<T>(spec: string, load: () => Promise<T>): Promise<T> {
  try {
    return await importPackage(spec, load)
  } catch (error) {
    if (!(error instanceof MissingPackage)) throw error
    throw new CheckpointError('ERR_CHECKPOINT', `this checkpoint store ${error.message}`, {
      cause: error.cause,
    })
  }
}
