import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { objectKey, parsePermission, receipt } from '../paths.js';
import { stream } from './support/client.js';
import { KEYS } from './support/ssm-stub.js';
import { MIB, PART, stage } from './support/stage.js';

const { send, permission, stored, store, assertNothingLeft } = await stage();
const RECEIVED = /^(\/v2\/acme\/app\/blobs\/uploads\/_received\/a7\/(\d+)\/[0-9a-f]{32}\/[0-9a-f]{32}\/([sc]-[0-9a-f]+)\/(\d+)\/([0-9a-f]{64}))\/[0-9a-f]{64}$/;

/** @param {string} location */
function read(location) {
  const found = RECEIVED.exec(location);
  assert.ok(found, location);
  return { expires: Number(found[2]), object: found[3], size: Number(found[4]), sha256: found[5] };
}

/** @param {Buffer} content */
const sha256 = (content) => createHash('sha256').update(content).digest('hex');
/** @param {Buffer} content */
async function* inPieces(content) {
  for (let at = 0, size = 1; at < content.length; at += size, size = Math.min(size * 3, 300_001)) {
    yield content.subarray(at, at + size);
  }
}

for (const size of [0, 1, 100_000, PART - 1, PART, PART + 1, 2 * PART, 3 * PART + 12345]) {
  for (const chunked of [true, false]) {
    test(`a PATCH of ${size} bytes, ${chunked ? 'chunked' : 'of known length'}`, async () => {
      const content = randomBytes(size);
      const given = permission();
      const answer = await send(given.path, { body: chunked ? inPieces(content) : content });
      assert.equal(answer.status, 202);
      assert.equal(answer.headers.range, `0-${Math.max(size - 1, 0)}`);
      assert.equal(answer.headers['docker-upload-uuid'], given.session);
      assert.equal(answer.headers['content-length'], '0');
      const said = read(answer.headers.location);
      assert.deepEqual([said.size, said.sha256], [size, sha256(content)]);
      const parsed = parsePermission(given.path);
      assert.ok(parsed);
      assert.equal(receipt(parsed, KEYS.a7, said, said.expires - 7200), answer.headers.location);
      const { key, content: kept } = await stored(given);
      assert.equal(key, objectKey(parsed, said.object));
      assert.ok(kept.equals(content));
      assert.equal(await store.uploads(given.session), 0);
    });
  }
}

test('a receipt lasts as long as the permission at least', async () => {
  const expires = Math.floor(Date.now() / 1000) + 50_000;
  assert.equal(read((await send(permission({ expires }).path, { body: 'x' })).headers.location).expires, expires);
});

test('two at once in one session do not meet', async () => {
  const given = permission();
  const answers = await Promise.all([1, 2].map((n) => send(given.path, { body: stream(PART + n, Buffer.alloc(65536, n)) })));
  assert.deepEqual(answers.map(({ status }) => status), [202, 202]);
  const said = answers.map(({ headers }) => read(headers.location));
  assert.notEqual(said[0].object, said[1].object);
  const parsed = /** @type {any} */ (parsePermission(given.path));
  for (const one of said) {
    assert.equal(sha256(await store.content(objectKey(parsed, one.object))), one.sha256);
  }
});

test('a first chunk is kept as a chunk', async () => {
  for (const size of [1, 5000, PART + 3]) {
    const content = randomBytes(size);
    const given = permission();
    const answer = await send(given.path, { headers: { 'Content-Range': `0-${size - 1}` }, body: inPieces(content) });
    assert.deepEqual([answer.status, answer.headers.range], [202, `0-${size - 1}`]);
    const said = read(answer.headers.location);
    assert.match(said.object, /^c-[0-9a-f]{16}$/);
    const key = `chunks/${given.repository}/${given.session}/000000000000-${said.object.slice(2)}`;
    assert.ok((await store.content(key)).equals(content));
  }
});

test('a later chunk is told where to begin', async () => {
  const given = permission();
  const answer = await send(given.path, { headers: { 'Content-Range': '5-9' }, body: 'hello' });
  assert.deepEqual([answer.status, answer.code], [416, 'BLOB_UPLOAD_INVALID']);
  assert.deepEqual([answer.headers.location, answer.headers.range], [given.path, '0-0']);
});

test('a chunk that is not as long as it says leaves nothing', async () => {
  for (const [range, body] of [['0-4', 'four'], ['0-4', 'sixsix'], ['0-20000000', stream(PART + 5)], ['0-4', stream(PART * 2)], ['0-4', stream(4)]]) {
    const given = permission();
    const answer = await send(given.path, { headers: { 'Content-Range': /** @type {string} */ (range) }, body: /** @type {any} */ (body) });
    assert.deepEqual([answer.status, answer.code], [400, 'SIZE_INVALID'], `${range}`);
    await assertNothingLeft(given);
  }
});

test('a malformed range, and one that is too long', async () => {
  for (const range of ['bytes 0-4/5', 'bytes=0-4', '0-', '4-0', '-5', '0-4/5', '0-9999999999999999', 'x']) {
    const answer = await send(permission().path, { headers: { 'Content-Range': range }, body: 'hello' });
    assert.deepEqual([answer.status, answer.code], [400, 'BLOB_UPLOAD_INVALID'], range);
  }
  const answer = await send(permission().path, { headers: { 'Content-Range': `0-${256 * MIB}` }, body: stream(1000) });
  assert.equal(answer.status, 413);
});
