// Put jobs on Antiphon's queue from Node.js and get the outcomes, with the `redis` package alone.
//
//   npm ci && REDIS_URL=redis://127.0.0.1:6379/0 node producer.mjs memo.wav

import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'
import { createClient } from 'redis'

const LANE = '{transcribe}'
const WEEK_S = 7 * 24 * 3600

/** Connect to `redis://…`, `rediss://…` or `unix:///path/of/server.sock`. */
export async function connect(url) {
  const options = url.startsWith('unix:') ? { socket: { path: new URL(url).pathname } } : { url }
  const client = createClient(options)
  client.on('error', (error) => console.error(error.message))
  return client.connect()
}

/** Put a job on its lane; its outcome goes to the stream `reply` and is kept under its id. */
export async function publish(client, job, { priority = 'std', reply } = {}) {
  const id = job.id ?? randomUUID()
  const fields = { data: JSON.stringify({ ...job, id }) }
  if (reply) fields.reply = reply
  // Send it again under the same id when this fails: it may run twice, but has one outcome.
  await client.xAdd(`jobs:${LANE}:${priority}`, '*', fields)
  return id
}

/** Wait for the outcome of one job on a reply stream that nobody else reads. */
export async function awaitReply(client, reply, id, { timeoutMs = 60_000 } = {}) {
  const reader = await client.duplicate().connect()
  try {
    const end = Date.now() + timeoutMs
    let last = '0'
    while (Date.now() < end) {
      const streams = await reader.xRead({ key: `replies:${LANE}:${reply}`, id: last }, { BLOCK: 2000 })
      for (const entry of streams?.[0]?.messages ?? []) {
        last = entry.id
        if (entry.message.id === id) return JSON.parse(entry.message.data)
      }
    }
    throw new Error(`job ${id} has not ended after ${timeoutMs} ms`)
  } finally {
    reader.destroy()
  }
}

/** Yield the outcomes of a stream as one consumer of a group; each counts as done when the next one is asked for. */
export async function* results(client, name, { group, consumer = randomUUID(), leaseMs = 30_000 }) {
  const key = `replies:${LANE}:${name}`
  const reader = await client.duplicate().connect()
  try {
    await client.xGroupCreate(key, group, '0', { MKSTREAM: true }).catch((error) => {
      if (!error.message.startsWith('BUSYGROUP')) throw error
    })
    while (true) {
      await client.expire(key, WEEK_S)
      // First what a consumer held that has died, then what is new.
      const claimed = await client.xAutoClaim(key, group, consumer, leaseMs, '0-0', { COUNT: 32 })
      let entries = claimed.messages.filter((entry) => entry)
      if (entries.length === 0) {
        const streams = await reader.xReadGroup(group, consumer, { key, id: '>' }, { COUNT: 32, BLOCK: 2000 })
        entries = streams?.[0]?.messages ?? []
      }
      for (const entry of entries) {
        if (entry.message.data) yield JSON.parse(entry.message.data)
        await client.xAck(key, group, entry.id)
      }
    }
  } finally {
    reader.destroy()
  }
}

/** Tell whether a webhook is from who knows the secret and not older than five minutes. `body` is the text as it came. */
export function verifyWebhook(secret, headers, body, { now = Date.now() } = {}) {
  const id = headers['webhook-id']
  const timestamp = headers['webhook-timestamp']
  if (!id || Math.abs(now / 1000 - Number(timestamp)) > 300 || Number.isNaN(Number(timestamp))) return false
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : Buffer.from(secret)
  const expected = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest()
  return (headers['webhook-signature'] ?? '').split(' ').some((signature) => {
    const [version, value] = signature.split(',')
    const given = Buffer.from(value ?? '', 'base64')
    return version === 'v1' && given.length === expected.length && timingSafeEqual(given, expected)
  })
}

async function main(file) {
  const client = await connect(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379/0')
  const reply = `node-${process.pid}`
  const audio = (await readFile(file)).toString('base64')
  const id = await publish(client, { audio: { uri: `data:audio/wav;base64,${audio}` }, model: 'whisper-1' }, { reply })
  console.log(JSON.stringify(await awaitReply(client, reply, id)))
  for await (const outcome of results(client, reply, { group: 'books' })) {
    console.log(JSON.stringify(outcome))
    if (outcome.id === id) break
  }
  client.destroy()
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main(process.argv[2])
