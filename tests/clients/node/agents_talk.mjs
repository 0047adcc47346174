// @openai/agents-realtime over a WebSocket: a spoken answer to a text, a function, an interruption, a turn in speech.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const { BASE_URL, API_KEY, MODEL, SOUND, NODE_MODULES } = process.env;
const load = (name) => import(pathToFileURL(createRequire(`${NODE_MODULES}/`).resolve(name)).href);
const { RealtimeAgent, RealtimeSession, OpenAIRealtimeWebSocket, tool } = await load('@openai/agents-realtime');
const { z } = await load('zod');
const CHUNK_BYTES = 4800;
const DEADLINE_MS = 40_000;

const events = [];
const errors = [];
const called = [];
let soundBytes = 0;
let history = [];
let interruptions = 0;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function seen(kind, times = 1) {
  const deadline = Date.now() + DEADLINE_MS;
  for (;;) {
    const found = events.filter((event) => event.type === kind);
    if (found.length >= times) return found[times - 1];
    if (Date.now() > deadline) throw new Error(`no ${kind} after ${events.slice(-6).map((event) => event.type)}`);
    await pause(20);
  }
}

async function speak(session, sound) {
  for (let start = 0; start < sound.length; start += CHUNK_BYTES) {
    const chunk = sound.subarray(start, start + CHUNK_BYTES);
    session.sendAudio(chunk.buffer.slice(chunk.byteOffset, chunk.byteOffset + chunk.length));
    await pause(30);
  }
}

const weather = tool({
  name: 'get_weather',
  description: 'Tell the weather of a city.',
  parameters: z.object({ city: z.string() }),
  execute: async ({ city }) => {
    called.push(city);
    return 'sunny';
  },
});
const agent = new RealtimeAgent({ name: 'assistant', instructions: 'Be brief.', tools: [weather] });
const config = {
  audio: {
    input: {
      transcription: { model: 'gpt-4o-mini-transcribe' },
      turnDetection: { type: 'server_vad', silenceDurationMs: 400, interruptResponse: true },
    },
  },
};
const session = new RealtimeSession(agent, { transport: new OpenAIRealtimeWebSocket(), model: MODEL, config });
session.transport.on('*', (event) => events.push(event));
session.on('error', (error) => errors.push(JSON.stringify(error)));
session.on('audio', (event) => (soundBytes += event.data.byteLength));
session.on('audio_interrupted', () => (interruptions += 1));
session.on('history_updated', (items) => (history = items));

const secret = await fetch(`${BASE_URL}/realtime/client_secrets`, {
  method: 'POST',
  headers: { authorization: `Bearer ${API_KEY}`, 'content-type': 'application/json' },
  body: JSON.stringify({ session: { type: 'realtime', model: MODEL } }),
});
const { value } = await secret.json();
await session.connect({ apiKey: value, url: `${BASE_URL.replace(/^http/, 'ws')}/realtime?model=${MODEL}` });
await seen('session.updated');
session.sendMessage('Hello there.');
await seen('response.done');
const spokenBytes = soundBytes;
session.sendMessage('Please get weather of Paris.');
await seen('response.done', 3);
session.sendMessage(`Say something long: ${'one two three four five, '.repeat(20)}`);
await seen('response.created', 4);
while (events.at(-1).type !== 'response.output_audio.delta') await pause(5);
session.interrupt();
const interrupted = await seen('response.done', 4);
await speak(session, Buffer.concat([Buffer.alloc(24_000), fs.readFileSync(SOUND), Buffer.alloc(72_000)]));
const heard = await seen('conversation.item.input_audio_transcription.completed');
await seen('response.done', 5);
await pause(200);
session.close();
const answers = history.filter((item) => item.type === 'message' && item.role === 'assistant');
console.log(
  JSON.stringify({
    spokenBytes,
    called,
    errors,
    secret: value.slice(0, 3),
    interrupted: interrupted.response.status,
    transcript: heard.transcript,
    answers: answers.map((item) => item.content.map((part) => part.transcript ?? part.text).join('')),
    kinds: [...new Set(events.map((event) => event.type))],
  }),
);
process.exit(0);
