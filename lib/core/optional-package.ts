/** A package that only some users need is not installed. The message has the command that installs it. */
export class MissingPackage extends Error {
  override name = 'MissingPackage'
}

/**
 * Loads a package that only some users need.
 *
 * @param spec the package and its range, as `npm install` accepts them
 * @throws MissingPackage if it is not installed
 */
export async function importPackage<T>(spec: string, load: () => Promise<T>): Promise<T> {
  const name = spec.slice(0, spec.lastIndexOf('@'))
  try {
    return await load()
  } catch (error) {
    // By its words: loaders of tests and bundlers give it other codes.
    const { message } = error as Error
    if (!message.startsWith('Cannot find') || !message.includes(`'${name}'`)) throw error
    throw new MissingPackage(`needs the package ${name}, which is not installed: npm install ${spec}`, {
      cause: error,
    })
  }
}
