import fc from 'fast-check'
import t from 'tap'
import { RetryBudget, type RetryPolicy } from '../../lib/core/retry.ts'

const policy = { max_retry_seconds: 300, initial_backoff: 1, max_backoff: 30 }

/** An operation that never succeeds, by a clock of its own: when each attempt begins, in milliseconds. */
function attempts(
  policy: RetryPolicy,
  { takes = 0, asked }: { takes?: number; asked?: number | undefined } = {},
) {
  let time = 0
  const budget = new RetryBudget(policy, () => time)
  const begun: number[] = []
  for (;;) {
    begun.push(time)
    budget.begin()
    time += takes
    const wait = budget.retryAfter(asked)
    if (wait === undefined) return { begun, budget, time }
    time += wait
  }
}

t.test('retries end by time, unless max_retries ends them earlier', async (t) => {
  for (let run = 0; run < 50; run++) {
    const { begun, budget, time } = attempts(policy)
    t.equal(budget.endedBy, 'max_retry_seconds')
    t.equal(budget.endedText, 'ended by max_retry_seconds: 300')
    t.equal(budget.attempts, begun.length)
    t.ok(begun.at(-1)! >= 300_000 && begun.at(-2)! < 300_000, 'one attempt after the end')
    t.ok(time < 331_000 && begun.length > 12, `${begun.length} attempts in ${time} ms`)
  }
  const counted = attempts({ ...policy, max_retries: 2 })
  t.equal(counted.begun.length, 3)
  t.match(counted.budget, { endedBy: 'max_retries', endedText: 'ended by max_retries: 2', attempts: 3 })
  t.equal(attempts({ ...policy, max_retries: 0 }).begun.length, 1)
  t.equal(attempts({ ...policy, max_retries: 1e6 }).budget.endedBy, 'max_retry_seconds')
  t.equal(attempts({ ...policy, max_retry_seconds: 0 }).begun.length, 2, 'one attempt after the end')
  const asked = attempts(policy, { asked: 400_000 })
  t.same(asked.begun, [0], 'the server asks for longer than there is: no wait that can not help')
  t.equal(asked.budget.endedBy, 'max_retry_seconds')
  t.same(
    attempts(policy, { takes: 600_000, asked: 1000 }).begun,
    [0, 601_000, 1_202_000],
    'the time runs from the first failure: slow attempts have retries too',
  )
})

t.test('progress starts the budget anew', async (t) => {
  let time = 0
  const budget = new RetryBudget({ ...policy, max_retries: 1 }, () => time)
  for (let part = 0; part < 10; part++) {
    budget.begin()
    time += 200_000
    t.type(budget.retryAfter(undefined), 'number')
    t.equal(budget.endedText, '')
    budget.begin()
    budget.progress()
    t.equal(budget.attempts, 0)
  }
  budget.begin()
  t.type(budget.retryAfter(undefined), 'number')
  budget.begin()
  t.equal(budget.retryAfter(undefined), undefined)
})

t.test('whatever the policy and the answers: one attempt after the end, or max_retries', async (t) => {
  const seconds = fc.double({ min: 0.5, max: 100, noNaN: true })
  fc.assert(
    fc.property(
      fc.record({ max_retry_seconds: seconds, max_retries: fc.option(fc.nat(20), { nil: undefined }), initial_backoff: seconds, max_backoff: seconds }), // biome-ignore format: a record
      fc.nat(100_000),
      fc.option(fc.integer({ min: 100, max: 300_000 }), { nil: undefined }),
      (policy, takes, asked) => {
        const { begun, budget } = attempts(policy, { takes, asked })
        const { max_retries = Number.POSITIVE_INFINITY } = policy
        const end = takes + policy.max_retry_seconds * 1000
        t.ok(begun.length <= max_retries + 1)
        if (budget.endedBy === 'max_retries') t.equal(begun.length, max_retries + 1)
        else if (asked === undefined || begun.at(-1)! >= end)
          t.ok(begun.at(-1)! >= end && begun.at(-2)! < end)
        else t.ok(asked > end - begun.at(-1)!, 'the server asks for longer than there is')
      },
    ),
    { numRuns: 100 },
  )
})
