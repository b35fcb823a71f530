import { OptionError } from '../core/errors.ts'

/**
 * Loads what only some commands need, with packages that only those need.
 *
 * @param what the part of the command that needs them, as the error names it
 * @param needs the packages, and the line that installs them
 * @throws OptionError where one is not installed
 */
export async function loadPackages<T>(what: string, needs: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new OptionError(what, [needs])
  }
}
