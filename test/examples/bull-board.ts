// BullMQ's dashboard on a queue of windows: what waits, runs, is done or failed, each with its counts.
import { createBullBoard } from '@bull-board/api'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { ExpressAdapter } from '@bull-board/express'
import { openQueue } from 'cyber-connectors/bullmq'
import express from 'express'

const queue = await openQueue({ url: process.env['CYBER_CONNECTORS_QUEUE'] ?? '', name: 'alerts' })
const serverAdapter = new ExpressAdapter()
createBullBoard({ queues: [new BullMQAdapter(queue.bull)], serverAdapter })
express().use('/', serverAdapter.getRouter()).listen(3000, '127.0.0.1')
