import type { Report } from '../core/options.ts'

/**
 * Puts the environment's values in place of each `${NAME}` in the texts of a JSON value. `$${` stands for `${`.
 * @param report told of each variable that there is not, by the place that asks for it
 */
export function fillFromEnvironment(
  value: unknown,
  environment: NodeJS.ProcessEnv,
  report: Report,
  place = '',
): unknown {
  if (typeof value === 'string') {
    return value.replace(/\$(\$\{)|\$\{([^}]*)\}/g, (whole, escaped: string | undefined, name: string) => {
      if (escaped !== undefined) return escaped
      const found = environment[name]
      if (!/^[A-Za-z_]\w*$/.test(name)) report(`${place}: "\${${name}}" is not the name of a variable`)
      else if (found === undefined) report(`${place}: the environment has no variable ${name}`)
      else if (found === '') report(`${place}: the variable ${name} is empty`)
      return found ?? whole
    })
  }
  if (Array.isArray(value)) {
    return value.map((member, index) =>
      fillFromEnvironment(member, environment, report, `${place}[${index}]`),
    )
  }
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [
      key,
      fillFromEnvironment(member, environment, report, place === '' ? key : `${place}.${key}`),
    ]),
  )
}
