// The server itself: its limits, and how it begins and ends.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { send, stream } from './support/client.js';
import { startIngest } from './support/ingest.js';
import { PART, stage } from './support/stage.js';

const staged = await stage({ INGEST_SHUTDOWN_SECONDS: '2' });
const { permission } = staged;
const urls = { s3: process.env.S3_TEST_ENDPOINT ?? staged.s3.url, ssm: staged.ssm.url };

test('headers of 20 kB pass, of more than 64 kB are refused as such', async () => {
  assert.equal((await staged.send(permission().path, { headers: { 'x-long': 'x'.repeat(40_000) }, body: 'x' })).status, 202);
  const answer = await staged.send(permission().path, { headers: { 'x-long': 'x'.repeat(70_000) }, body: '' });
  assert.deepEqual([answer.status, answer.code], [431, 'UNSUPPORTED']);
});

test('what is no HTTP gets an answer that is', async () => {
  for (const bytes of [Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1]), Buffer.from('hello\r\n\r\n')]) {
    const socket = connect(staged.ingest.port, '127.0.0.1');
    socket.write(bytes);
    const [data] = await once(socket, 'data');
    assert.match(data.toString(), /^HTTP\/1.1 400 Bad Request\r\n[^]*"errors"/);
    socket.destroy();
  }
});

test('connections are kept longer than the front door keeps them', async () => {
  const socket = connect(staged.ingest.port, '127.0.0.1');
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  const [data] = await once(socket, 'data');
  assert.match(data.toString(), /Keep-Alive: timeout=75/);
  socket.destroy();
});

/** Why a connection is not made, if it is not. @param {number} port @returns {Promise<string | undefined>} */
function knock(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => resolve(socket.destroy() && undefined)).on('error', (error) => resolve(/** @type {NodeJS.ErrnoException} */ (error).code));
  });
}

test('SIGTERM: what is under way is finished, nothing else begins', async () => {
  const ingest = await startIngest(urls, { INGEST_SHUTDOWN_SECONDS: '10' });
  const given = permission();
  const answered = send(ingest.port, given.path, {
    body: (async function* () {
      yield* stream(PART);
      await sleep(3000);
      yield* stream(PART);
    })(),
  });
  await sleep(400);
  ingest.child.kill('SIGTERM');
  for (let i = 0; i < 20 && (await knock(ingest.port)) !== 'ECONNREFUSED'; i++) {
    await sleep(100);
  }
  await assert.rejects(send(ingest.port, permission().path, { body: 'x' }), { code: 'ECONNREFUSED' });
  assert.equal((await answered).status, 202);
  assert.deepEqual(await ingest.exited, [0, null]);
  assert.equal((await staged.stored(given)).content.length, 2 * PART);
});

test('SIGTERM: what does not finish in time leaves nothing', async () => {
  const ingest = await startIngest(urls, { INGEST_SHUTDOWN_SECONDS: '0.5' });
  const given = permission();
  const answered = send(ingest.port, given.path, {
    body: (async function* () {
      yield* stream(2 * PART + 5);
      await sleep(20_000, undefined, { ref: false });
      yield Buffer.alloc(1);
    })(),
  });
  await sleep(500);
  const start = Date.now();
  ingest.child.kill('SIGTERM');
  const answer = await answered;
  assert.deepEqual([answer.status, answer.code, answer.headers.connection], [503, 'TOOMANYREQUESTS', 'close']);
  assert.deepEqual(await ingest.exited, [0, null]);
  assert.ok(Date.now() - start < 3000);
  await staged.assertNothingLeft(given);
});

test('it does not start without what it needs', async () => {
  const entry = process.env.INGEST_ENTRY ?? fileURLToPath(new URL('../index.js', import.meta.url));
  const env = { AWS_LAMBDA_HTTP_ENDPOINT: '127.0.0.1:0', BUCKET_NAME: 'bucket', REGISTRY_URL: 'http://x', UPLOAD_KEY_PARAMETER_PREFIX: '/x', ORIGIN_SECRET: '' };
  const text = await new Promise((resolve) => execFile(process.execPath, [entry], { env }, (error, _, stderr) => resolve(error ? stderr : 'started')));
  assert.match(text, /ORIGIN_SECRET is not set/);
});
