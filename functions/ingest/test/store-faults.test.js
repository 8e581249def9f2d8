// A store that fails, hangs, or is slow.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { stream } from './support/client.js';
import { SECRET } from './support/ingest.js';
import { MIB, ONLY_STUB, PART, stage } from './support/stage.js';

const { ingest, s3, store, send, permission, over, stored, assertNothingLeft } = await stage({ INGEST_BUFFER_MIB: '24', INGEST_STORE_SECONDS: '1' });

for (const operation of ['put', 'begin', 'part', 'complete']) {
  const size = operation === 'put' ? 1000 : 3 * PART + 1;
  for (const [what, fault] of /** @type {[string, object][]} */ ([['says 503', { status: 503 }], ['cuts the connection', {}], ['hangs', { delay: 3000 }]])) {
    test(`${operation}: a store that ${what} once is asked again`, ONLY_STUB, async () => {
      s3.order({ operation, times: 1, ...fault });
      const given = permission();
      const answer = await send(given.path, { body: stream(size) });
      assert.equal(answer.status, 202);
      assert.equal((await stored(given)).content.length, size);
    });
  }

  for (const status of [503, 403]) {
    test(`${operation}: a store that keeps saying ${status} fails the upload, after all of its body`, ONLY_STUB, async () => {
      s3.order({ operation, times: 99, status });
      const given = permission();
      const answer = await send(given.path, { body: stream(size * 2) });
      assert.deepEqual([answer.status, answer.code, answer.headers['retry-after']], [503, 'TOOMANYREQUESTS', '2']);
      assert.ok(!/SlowDown|ordered|bucket/.test(answer.text));
      assert.equal(s3.calls[operation] >= (status === 503 ? 4 : 1), true);
      await assertNothingLeft(given);
    });
  }
}

test('a slow store holds the client back', ONLY_STUB, async () => {
  s3.order({ operation: 'part', times: 99, delay: 400 });
  const outgoing = request({ port: ingest.port, host: '127.0.0.1', path: permission().path, method: 'PATCH', headers: { 'x-moorage-front-door': SECRET } });
  let most = 0;
  const answered = once(outgoing, 'response');
  let sent = 0;
  const start = Date.now();
  for await (const chunk of stream(80 * MIB)) {
    if (!outgoing.write(chunk)) {
      await once(outgoing, 'drain');
    }
    sent += chunk.length;
    if (Date.now() - start < 350) {
      most = sent;
    }
  }
  outgoing.end();
  const [response] = await answered;
  assert.equal(response.statusCode, 202);
  assert.ok(Date.now() - start > 1000);
  // Three parts, and what the sockets hold.
  assert.ok(most < 24 * MIB + 16 * MIB, `${most}`);
  response.resume();
});

for (const operation of ['begin', 'part']) {
  test(`a client that leaves while ${operation} is slow leaves nothing`, ONLY_STUB, async () => {
    s3.order({ operation, times: 9, delay: 400 });
    const given = permission();
    await leaveAfter(200, given.path, PART + 1);
    // Only when it is over, nothing more can come.
    assert.equal((await over(given)).status, 499);
    await assertNothingLeft(given);
  });
}

test('a client that leaves while the upload is completed leaves no half of it', ONLY_STUB, async () => {
  s3.order({ operation: 'complete', times: 1, delay: 400 });
  const given = permission();
  await leaveAfter(250, given.path, PART + 1);
  await sleep(500);
  assert.equal(await store.uploads(given.session), 0);
});

/** @param {number} milliseconds @param {string} path @param {number} size */
async function leaveAfter(milliseconds, path, size) {
  const outgoing = request({ port: ingest.port, host: '127.0.0.1', path, method: 'PATCH', headers: { 'x-moorage-front-door': SECRET } });
  outgoing.on('error', () => undefined).end(Buffer.alloc(size));
  await sleep(milliseconds);
  outgoing.destroy();
}
