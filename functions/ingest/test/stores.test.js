// Several stores: a blob lies in the one that its path names, and leaves nothing in the others.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, test } from 'node:test';
import { readSettings } from '../settings.js';
import { stream } from './support/client.js';
import { PART, stage } from './support/stage.js';

const STORES = 'second=second-bucket';
const { ingest, registry, send, permission, store, bucket, assertNothingLeft } = await stage({ STORES });
const second = bucket('second-bucket');
await second.createBucket();
after(() => second.close());

/** @param {Buffer} content */
const digestOf = (content) => `sha256:${createHash('sha256').update(content).digest('hex')}`;
/** @param {{session: string, repository: string}} given */
const prefixOf = ({ session, repository }) => `stream/${session.slice(0, 2)}/${repository}/${session}/`;

for (const size of [0, 1000, 2 * PART + 5]) {
  test(`a PATCH of ${size} bytes goes to the store that its path names`, async () => {
    const content = randomBytes(size);
    for (const [name, here, there] of /** @type {const} */ ([['', store, second], ['second', second, store]])) {
      const given = permission({ store: name });
      const answer = await send(given.path, { body: content });
      assert.equal(answer.status, 202);
      // Where its session lives, the registry knows.
      assert.match(answer.headers.location, new RegExp(`^/v2/acme/app/blobs/uploads/_received/a7/\\d+/${given.repository}/`));
      const [key, ...more] = await here.keys(prefixOf(given));
      assert.deepEqual([(await here.content(key)).equals(content), more], [true, []]);
      assert.deepEqual(await there.keys(prefixOf(given)), []);
      assert.deepEqual([await here.uploads(given.session), await there.uploads(given.session)], [0, 0]);
    }
  });
}

test('a first chunk and a whole PUT go there too', async () => {
  const chunk = permission({ store: 'second' });
  assert.equal((await send(chunk.path, { headers: { 'Content-Range': '0-4' }, body: 'hello' })).status, 202);
  assert.equal((await second.keys(`chunks/${chunk.repository}/${chunk.session}/`)).length, 1);
  const whole = permission({ store: 'second' });
  const digest = digestOf(Buffer.from('hello'));
  assert.equal((await send(`${whole.path}?digest=${digest}`, { method: 'PUT', body: 'hello' })).status, 201);
  assert.equal((await second.keys(prefixOf(whole))).length, 1);
  assert.match(registry.requests.at(-1)?.url ?? '', /^\/base\/v2\/acme\/app\/blobs\/uploads\/_received\/a7\//);
  await assertNothingLeft(chunk);
  await assertNothingLeft(whole);
});

test('what is refused leaves nothing in either', async () => {
  const given = permission({ store: 'second' });
  const answer = await send(`${given.path}?digest=${digestOf(Buffer.from('other'))}`, { method: 'PUT', body: stream(PART + 1) });
  assert.deepEqual([answer.status, answer.code], [400, 'DIGEST_INVALID']);
  assert.deepEqual([await second.keys(prefixOf(given)), await second.uploads(given.session)], [[], 0]);
  await assertNothingLeft(given);
});

test('a signed path to a store that is not known here waits for a revision that knows it', async () => {
  const given = permission({ store: 'fourth' });
  for (const [method, query] of [['PATCH', ''], ['PUT', `?digest=${digestOf(Buffer.from('x'))}`]]) {
    const answer = await send(given.path + query, { method, body: 'x' });
    assert.deepEqual([answer.status, answer.code, answer.headers['retry-after']], [503, 'TOOMANYREQUESTS', '2']);
    assert.ok(!answer.text.includes('fourth'));
  }
  // Asked how it stands, the registry needs no store.
  assert.equal((await send(given.path, { method: 'GET' })).status, 201);
  await assertNothingLeft(given);
  assert.ok(ingest.lines.some((line) => line.message === 'there is no such store' && line.store === 'fourth'));
});

test('a path that was moved to another store is unknown', async () => {
  for (const [from, to] of [['second', ''], ['second', 'third/'], ['', 'second/']]) {
    const given = permission({ store: from });
    const moved = given.path.replace(`/_stream/${from && `${from}/`}`, `/_stream/${to}`);
    assert.equal((await send(moved, { body: 'x' })).status, 404, moved);
    await assertNothingLeft(given);
  }
});

const ENVIRONMENT = {
  AWS_LAMBDA_HTTP_ENDPOINT: '127.0.0.1:0', ORIGIN_SECRET: 'x', REGISTRY_URL: 'http://x', UPLOAD_KEY_PARAMETER_PREFIX: '/x', BUCKET_NAME: 'one',
};

test('the stores of the environment', () => {
  /** @param {string | undefined} text */
  const read = (text) => Object.fromEntries(readSettings({ ...ENVIRONMENT, STORES: text }).stores.buckets);
  assert.deepEqual(read(undefined), { default: { bucket: 'one' } });
  assert.deepEqual(read(''), { default: { bucket: 'one' } });
  assert.deepEqual(read('second=two,far-away=three@eu-west-1'), {
    default: { bucket: 'one' }, second: { bucket: 'two', region: undefined }, 'far-away': { bucket: 'three', region: 'eu-west-1' },
  });
  for (const text of ['second', 'second=', '=two', 'second=two,', ',', 'default=two', 'second=two,second=three', 'Second=two', 'second=two@', 'second=a=b']) {
    assert.throws(() => read(text), /STORES/, text);
  }
});
