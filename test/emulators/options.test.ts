import t from 'tap'
import { HecEmulator, LogAnalyticsEmulator, startEmulators } from '../../lib/emulators/index.ts'

t.test(
  'a misspelt option of an emulator is an error with the right name, before anything listens',
  async (t) => {
    await t.rejects(startEmulators({ entra: { tenantId: 't' } as never }), {
      code: 'ERR_OPTION',
      message: 'emulator entra: unknown option "tenantId"; did you mean "tenant_id"?',
    })
    await t.rejects(startEmulators({ nope: {} } as never), {
      code: 'ERR_OPTION',
      message: /services: unknown option "nope"/,
    })
    t.throws(() => new HecEmulator({ tokn: 'x', ack: 'yes', busyBase: 2, port: '1' } as never), {
      code: 'ERR_OPTION',
      problems: [
        'unknown option "tokn"; did you mean "token"?',
        'ack: expected boolean, got a string',
        'busyBase: expected one of 0, 1, got the number 2',
        'port: expected number, got a string',
      ],
    })
    t.throws(() => new LogAnalyticsEmulator({ bounds: 'open' } as never), {
      code: 'ERR_OPTION',
      problems: ['bounds: expected one of "inclusive", "exclusive", got a string'],
    })
    t.doesNotThrow(() => new HecEmulator({ indexes: ['main'], keepEvents: false }))
  },
)
