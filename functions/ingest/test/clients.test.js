// Clients that leave, stop, lie, or are slow.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { stream } from './support/client.js';
import { SECRET } from './support/ingest.js';
import { MIB, PART, stage } from './support/stage.js';

const IDLE = 3;
const { ingest, send, permission, over, stored, assertNothingLeft } = await stage({ INGEST_IDLE_SECONDS: `${IDLE}`, INGEST_BUFFER_MIB: '16', INGEST_DRAIN_MIB: '1' });

/** @param {string} path @param {string} headers @param {string} [method] */
async function open(path, headers, method = 'PATCH') {
  const socket = connect(ingest.port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(`${method} ${path} HTTP/1.1\r\nHost: ingest\r\nx-moorage-front-door: ${SECRET}\r\n${headers}\r\n\r\n`);
  let text = '';
  socket.on('data', (data) => (text += data)).on('error', () => undefined);
  return { socket, text: () => text, closed: new Promise((resolve) => socket.on('close', resolve)) };
}

/** @param {import('node:net').Socket} socket @param {number} size */
async function push(socket, size) {
  for await (const chunk of stream(size)) {
    if (!socket.write(chunk)) {
      await once(socket, 'drain');
    }
  }
}

for (const [what, leave] of /** @type {[string, (socket: import('node:net').Socket) => unknown][]} */ ([
  ['ends', (socket) => socket.end()], ['is cut', (socket) => socket.resetAndDestroy()],
])) {
  for (const size of [100, PART + 1, 2 * PART + 100]) {
    test(`a connection that ${what} after ${size} of its bytes leaves nothing`, async () => {
      const given = permission();
      const { socket, text } = await open(given.path, `Content-Length: ${size * 2}`);
      await push(socket, size);
      await sleep(100);
      leave(socket);
      // Only when it is over, nothing more can come.
      assert.equal((await over(given)).status, 499);
      assert.ok(!text().includes(' 202 '));
      await assertNothingLeft(given);
    });
  }
}

for (const [what, end] of [
  ['without its end', ''],
  ['with nonsense for a length', 'zz\r\n'],
  ['with a length below zero', '-5\r\nhello\r\n0\r\n\r\n'],
  ['with a length that no number holds', 'ffffffffffffffffff\r\nhello\r\n0\r\n\r\n'],
  ['with a length below that of the chunk', '3\r\nhello\r\n0\r\n\r\n'],
  ['with a length above that of the chunk', '50\r\nhello\r\n0\r\n\r\n'],
]) {
  test(`a chunked body ${what} leaves nothing`, async () => {
    const given = permission();
    const { socket, text, closed } = await open(given.path, 'Transfer-Encoding: chunked');
    socket.write(`5\r\nhello\r\n${end}`);
    await sleep(50);
    socket.end();
    await closed;
    await assertNothingLeft(given);
    assert.ok(!text().includes(' 202 '));
  });
}

test('a body that stops is given up, and what came of it with it', async () => {
  for (const size of [100, PART + 1]) {
    const given = permission();
    const start = Date.now();
    const { socket, text, closed } = await open(given.path, `Content-Length: ${size * 3}`);
    await push(socket, size);
    await closed;
    assert.ok(Date.now() - start >= IDLE * 1000);
    assert.match(text(), /^HTTP\/1.1 408 /);
    await assertNothingLeft(given);
  }
});

test('a body that trickles arrives', async () => {
  const given = permission();
  const answer = await send(given.path, {
    body: (async function* () {
      for (let i = 0; i < 20; i++) {
        yield Buffer.from('trickle ');
        await sleep(200);
      }
    })(),
  });
  assert.equal(answer.status, 202);
  assert.equal((await stored(given)).content.toString(), 'trickle '.repeat(20));
});

test('bytes after the announced ones are another request, and no good one', async () => {
  const { socket, text, closed } = await open(permission().path, 'Content-Length: 5');
  socket.write('hello, and more');
  await closed;
  assert.match(text(), /HTTP\/1.1 400 /);
  assert.equal((await send(permission().path, { body: 'x' })).status, 202);
});

test('a length of two kinds is no request', async () => {
  const { text, closed } = await open(permission().path, 'Content-Length: 5\r\nTransfer-Encoding: chunked');
  await closed;
  assert.match(text(), /^HTTP\/1.1 400 /);
});

test('the rest of a refused body is read, but not without end', async () => {
  const given = permission();
  const range = 'Content-Range: 7-99\r\n';
  const small = await open(given.path, `${range}Transfer-Encoding: chunked`);
  await sleep(100);
  assert.equal(small.text(), '');
  small.socket.write('5\r\nhello\r\n0\r\n\r\n');
  await once(small.socket, 'data');
  assert.match(small.text(), /^HTTP\/1.1 416 /);
  assert.match(small.text(), /keep-alive/);
  small.socket.destroy();
  const large = await open(given.path, `${range}Content-Length: ${64 * MIB}`);
  large.socket.write(Buffer.alloc(2 * MIB));
  await large.closed;
  assert.match(large.text(), /^HTTP\/1.1 416 /);
  assert.match(large.text(), /Connection: close/);
});

test('a body without end from somebody who may not upload is cut off', async () => {
  const given = permission();
  const { socket, closed } = await open(given.path.replace('acme/app', 'acme/other'), 'Transfer-Encoding: chunked');
  const block = Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(MIB), Buffer.from('\r\n')]);
  let sent = 0;
  while (!socket.destroyed && sent < 512) {
    sent += 1;
    if (!socket.write(block)) {
      await Promise.race([once(socket, 'drain').catch(() => undefined), closed]);
    }
  }
  await closed;
  assert.ok(sent < 128, `${sent} MiB were taken`);
  await sleep(100);
  const { status, bytes } = ingest.requests().at(-1);
  assert.ok(status === 404 && bytes < 70 * MIB, `${status} after ${bytes} bytes`);
  await assertNothingLeft(given);
});

test('eight at once with memory for two parts, one of them slow', async () => {
  const slow = await open(permission().path, `Content-Length: ${PART}`);
  const trickle = setInterval(() => slow.socket.write('x'), 100);
  const given = Array.from({ length: 7 }, () => permission());
  const answers = await Promise.all(given.map(({ path }, i) => send(path, { body: stream(2 * PART + i) })));
  clearInterval(trickle);
  slow.socket.destroy();
  assert.deepEqual(answers.map(({ status }) => status), Array(7).fill(202));
});
