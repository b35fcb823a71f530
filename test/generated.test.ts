import t from 'tap'

const { generated, current } = (await import(new URL('../.dev/generate.mjs', import.meta.url).href)) as {
  generated(): Map<string, string>
  current(file: string): string
}

t.test('tables and examples of the guides are those of the code (else: npm run generate)', async (t) => {
  for (const [file, text] of generated()) t.equal(current(file), text, file)
})
