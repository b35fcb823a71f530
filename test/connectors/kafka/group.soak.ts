import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { GroupTrial, RowCount, sliceRows } from '../../fixtures/kafka-group-trial.ts'
import { KafkaTopics } from '../../fixtures/kafka-topics.ts'
import { kafkaMissing, startKafka } from '../../services/kafka.ts'

const rows = 200_000

t.test(
  'four processes of a group, killed, frozen and rebalanced; the broker killed too',
  { skip: kafkaMissing },
  async (t) => {
    const kafka = await startKafka()
    t.teardown(() => kafka.stop())
    const topics = new KafkaTopics(kafka)
    t.teardown(() => topics.close())
    const topic = await topics.make(12)
    for (let n = 0; n < rows; n += 5000) await topics.produceNumbers(topic, 5000, n)
    const count = await RowCount.start(rows)
    t.teardown(() => count.close())
    const trial = new GroupTrial(kafka.bootstrap, topic, count.url)
    t.teardown(() => trial.stop())
    for (let member = 0; member < 4; member++) trial.start()
    let brokerKills = 0
    for (let round = 1; count.different < rows; round++) {
      await sleep(1500)
      if (count.different === 0) continue
      if (round % 10 === 5) {
        await kafka.brokers[0]!.kill()
        brokerKills++
        await kafka.brokers[0]!.start()
      } else if (round % 3 === 0) await trial.freeze()
      else await trial.kill()
    }
    // What is in flight now may still come twice.
    await trial.stop()
    t.equal(count.different, rows, '0 lost')
    const { kills, freezes, rebalances, disturbances } = trial
    t.comment(
      `${kills} kills, ${freezes} freezes, ${rebalances} rebalances, ${brokerKills} kills of the broker`,
    )
    t.comment(`${count.again} rows came twice`)
    // Each disturbance costs what a member had in flight: a slice, and the one that was read ahead.
    t.ok(count.again <= disturbances * sliceRows, `${count.again} of at most ${disturbances * sliceRows}`)
    const often = count.times.reduce((most, times) => Math.max(most, times), 0)
    t.comment(`a row came ${often} times at most`)
  },
)
