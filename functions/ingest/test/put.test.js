import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { PART, stage } from './support/stage.js';

const { registry, send, permission, stored, assertNothingLeft } = await stage();

/** @param {Buffer} content @param {string} [algorithm] */
const digestOf = (content, algorithm = 'sha256') => `${algorithm}:${createHash(algorithm).update(content).digest('hex')}`;

for (const [size, algorithm] of /** @type {[number, string][]} */ ([[0, 'sha256'], [1000, 'sha256'], [PART + 1, 'sha256'], [1000, 'sha512']])) {
  test(`a PUT of ${size} bytes with ${algorithm} is closed at the registry`, async () => {
    const content = randomBytes(size);
    const digest = digestOf(content, algorithm);
    const given = permission();
    const headers = { Authorization: 'Bearer token', 'User-Agent': 'client/1', 'x-moorage-host': 'registry.example', Cookie: 'no', 'x-other': 'no' };
    const answer = await send(`${given.path}?digest=${encodeURIComponent(digest)}`, { method: 'PUT', body: content, headers });
    assert.equal(answer.status, 201);
    assert.equal(answer.headers['docker-content-digest'], 'd');
    assert.equal(answer.headers.location, '/v2/acme/app/blobs/x');
    assert.equal(answer.headers['x-internal'], undefined);
    const closing = registry.requests.at(-1);
    assert.ok(closing);
    assert.deepEqual([closing.method, closing.body, closing.headers['content-length']], ['PUT', '', '0']);
    assert.match(closing.url ?? '', new RegExp(`^/base/v2/acme/app/blobs/uploads/_received/a7/\\d+/${given.repository}/${given.session}/s-`));
    assert.ok(closing.url?.endsWith(`?digest=${encodeURIComponent(digest)}`));
    const { authorization, 'user-agent': agent, 'x-moorage-front-door': door, 'x-moorage-host': host, cookie } = closing.headers;
    assert.deepEqual([authorization, agent, door, host, cookie], ['Bearer token', 'client/1', 'front-door-secret', 'registry.example', undefined]);
    assert.equal(closing.headers['x-other'], undefined);
    assert.ok((await stored(given)).content.equals(content));
  });
}

test('what the registry refuses, the client hears', async () => {
  const challenge = 'Bearer realm="https://registry.example/token"';
  registry.answer = /** @type {any} */ ({ status: 401, headers: { 'WWW-Authenticate': challenge, 'Content-Type': 'application/json' }, body: '{"errors":[{"code":"UNAUTHORIZED"}]}' });
  const answer = await send(`${permission().path}?digest=${digestOf(Buffer.from('x'))}`, { method: 'PUT', body: 'x' });
  assert.deepEqual([answer.status, answer.code, answer.headers['www-authenticate']], [401, 'UNAUTHORIZED', challenge]);
});

test('other content than the digest says leaves nothing', async () => {
  for (const size of [5, PART, PART * 2 + 7]) {
    const given = permission();
    const before = registry.requests.length;
    const answer = await send(`${given.path}?digest=${digestOf(Buffer.from('other'))}`, { method: 'PUT', body: randomBytes(size) });
    assert.deepEqual([answer.status, answer.code], [400, 'DIGEST_INVALID']);
    assert.equal(registry.requests.length, before);
    await assertNothingLeft(given);
  }
});

test('no digest, a malformed one, or two', async () => {
  const digest = digestOf(Buffer.from('x'));
  for (const query of ['', '?', '?digest=', `?digest=${digest}&digest=${digest}`, `?digest=${digest.toUpperCase()}`, `?digest=${digest}0`,
    '?digest=md5:00', `?digest=sha512:${'0'.repeat(64)}`, `?other=${digest}`, `?digest=${digest}%0a`]) {
    const given = permission();
    const answer = await send(`${given.path}${query}`, { method: 'PUT', body: 'x' });
    assert.deepEqual([answer.status, answer.code], [400, 'DIGEST_INVALID'], query);
    await assertNothingLeft(given);
  }
});

test('how an upload stands, and that it is given up, the registry says', async () => {
  const given = permission();
  const where = `/v2/acme/app/blobs/uploads/${given.session}`;
  const headers = { Authorization: 'Bearer token', 'x-moorage-host': 'registry.example', 'x-other': 'no' };
  registry.answer = /** @type {any} */ ({ status: 204, headers: { Location: where, Range: '0-0', 'Docker-Upload-UUID': given.session }, body: '' });
  for (const method of ['GET', 'DELETE']) {
    const answer = await send(given.path, { method, headers });
    assert.deepEqual([answer.status, answer.text, answer.headers['content-length']], [204, '', undefined]);
    assert.deepEqual([answer.headers.location, answer.headers.range, answer.headers['docker-upload-uuid']], [where, '0-0', given.session]);
    const asked = registry.requests.at(-1);
    assert.deepEqual([asked?.method, asked?.url, asked?.body], [method, `/base${where}`, '']);
    assert.deepEqual([asked?.headers.authorization, asked?.headers['x-moorage-host'], asked?.headers['x-other']], ['Bearer token', 'registry.example', undefined]);
  }
  registry.answer = /** @type {any} */ ({ status: 404, headers: { 'Content-Type': 'application/json' }, body: '{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}' });
  const gone = await send(given.path, { method: 'DELETE', headers });
  assert.deepEqual([gone.status, gone.code], [404, 'BLOB_UPLOAD_UNKNOWN']);
  const before = registry.requests.length;
  const expired = permission({ expires: Math.floor(Date.now() / 1000) - 1 });
  assert.equal((await send(expired.path, { method: 'DELETE', headers })).status, 404);
  assert.equal(registry.requests.length, before);
  await assertNothingLeft(given);
});

test('while the registry does not answer, the client is told to come back', async () => {
  registry.close();
  const answer = await send(`${permission().path}?digest=${digestOf(Buffer.from('x'))}`, { method: 'PUT', body: 'x' });
  assert.deepEqual([answer.status, answer.code, answer.headers['retry-after']], [503, 'TOOMANYREQUESTS', '2']);
  assert.equal((await send(permission().path, { method: 'DELETE' })).status, 503);
});
