import type { Report } from '../core/options.ts'

/**
 * Puts the environment's values in place of each `${NAME}` and `${NAME:-default}` in the texts of a JSON value. `$${`
 * stands for `${`.
 * @param report told of each variable that there is not, by the place that asks for it
 */
export function fillFromEnvironment(
  value: unknown,
  environment: NodeJS.ProcessEnv,
  report: Report,
  place = '',
): unknown {
  if (typeof value === 'string') {
    return value.replace(/\$(\$\{)|\$\{([^}]*)\}/g, (whole, escaped: string | undefined, inner: string) => {
      if (escaped !== undefined) return escaped
      // ${NAME:-default}, as a shell has it: for a variable that there is not, or an empty one.
      const [, name = inner, fallback] = /^([^:]*):-(.*)$/s.exec(inner) ?? []
      const found = fallback === undefined ? environment[name] : environment[name] || fallback
      if (!/^[A-Za-z_]\w*$/.test(name)) report(`${place}: "\${${name}}" is not the name of a variable`)
      else if (found === undefined) report(`${place}: the environment has no variable ${name}`)
      else if (found === '' && fallback === undefined) report(`${place}: the variable ${name} is empty`)
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
