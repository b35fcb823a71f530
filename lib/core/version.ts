/** The version in package.json, which a test compares: a bundle of a user's program has no package.json to read. */
export const version = '0.1.0'
