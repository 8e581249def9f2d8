import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { stage } from './support/stage.js';
import { KEYS } from './support/ssm-stub.js';

const { ingest, ssm, send, permission, assertNothingLeft } = await stage();

/** @param {{status: number, code: string, headers: object}} answer @param {number} status @param {string} code */
function assertRefused(answer, status, code) {
  assert.deepEqual([answer.status, answer.code], [status, code]);
  assert.equal(/** @type {any} */ (answer.headers)['content-type'], 'application/json');
}

test('who did not come through the front door is refused', async () => {
  const given = permission();
  for (const secret of [null, '', 'wrong', 'front-door-secret.', 'x'.repeat(5000)]) {
    assertRefused(await send(given.path, { secret, body: 'x' }), 403, 'DENIED');
  }
  await assertNothingLeft(given);
});

test('forged, foreign and malformed paths are unknown', async () => {
  const given = permission();
  const forged = given.path.slice(0, -64) + 'ab'.repeat(32);
  const foreign = given.path.replace('acme/app', 'acme/other');
  const unknownKid = permission({ kid: 'b9' }).path;
  // Replaced, each in its slot; whoever knows the key of another version can sign these.
  const older = ['a6', 'a07', 'b7'].map((kid) => permission({ kid, key: kid < 'b' ? KEYS.a7 : KEYS.b8 }).path);
  const direct = permission({ method: 'PUT' }).path;
  const otherKey = permission({ key: KEYS.b8 }).path;
  const malformed = ['', 'x', '/more'].map((end) => given.path.slice(0, -1) + end);
  for (const path of [forged, foreign, unknownKid, direct, otherKey, ...older, ...malformed]) {
    for (const method of ['PATCH', 'PUT', 'GET', 'DELETE']) {
      const body = method.startsWith('P') ? 'x' : '';
      assertRefused(await send(path, { method, body }), 404, 'BLOB_UPLOAD_UNKNOWN');
    }
  }
  await assertNothingLeft(given);
});

test('an expired permission is told apart from an unknown one', async () => {
  const answer = await send(permission({ expires: Math.floor(Date.now() / 1000) - 1 }).path, { body: 'x' });
  assertRefused(answer, 404, 'BLOB_UPLOAD_UNKNOWN');
  assert.match(answer.text, /expired/);
});

test('both slots sign', async () => {
  assert.equal((await send(permission({ kid: 'b8', key: KEYS.b8 }).path, { body: 'x' })).status, 202);
});

test('other methods and other paths', async () => {
  for (const method of ['POST', 'OPTIONS']) {
    const answer = await send(permission().path, { method });
    assertRefused(answer, 405, 'UNSUPPORTED');
    assert.equal(answer.headers.allow, 'DELETE, GET, PATCH, PUT');
  }
  const head = await send(permission().path, { method: 'HEAD' });
  assert.deepEqual([head.status, head.text], [405, '']);
  for (const path of ['/', '/health', '/v2/', '/v2/acme/app/blobs/uploads/x', '/v2/acme/app/blobs/uploads/_received/x']) {
    assertRefused(await send(path, { method: 'GET' }), 404, 'UNSUPPORTED');
  }
});

test('while SSM fails, the client is told to come back', async () => {
  await sleep(5_000);
  ssm.failing = true;
  const answer = await send(permission({ kid: 'a70' }).path, { body: 'x' });
  ssm.failing = false;
  assertRefused(answer, 503, 'TOOMANYREQUESTS');
  assert.equal(answer.headers['retry-after'], '2');
  assert.ok(!answer.text.includes('Denied'));
  assert.equal((await send(permission().path, { body: 'x' })).status, 202);
});

test('invented kids do not reach SSM without bound', async () => {
  const before = ssm.asked.length;
  for (let i = 0; i < 50; i++) {
    assert.equal((await send(permission({ kid: `${'ab'[i % 2]}9${i}` }).path)).status, 404);
  }
  assert.ok(ssm.asked.length - before <= 4);
  assert.equal((await send(permission().path, { body: 'x' })).status, 202);
});

test('the log has a line per request, and no path, key or secret', async () => {
  await sleep(100);
  const text = JSON.stringify(ingest.lines);
  assert.ok(ingest.requests().length > 30);
  for (const secret of ['front-door-secret', KEYS.a7, '_stream', 'blobs/uploads']) {
    assert.ok(!text.includes(secret), secret);
  }
  const line = ingest.requests().at(-1);
  assert.deepEqual([line.method, line.way, line.status, line.bytes, line.session.length], ['PATCH', 'stream', 202, 1, 8]);
});
