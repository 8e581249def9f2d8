import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { isSigned, isStreamPath, objectKey, parsePermission, receipt, same } from '../paths.js';

const { cases } = JSON.parse(readFileSync(new URL('vectors.json', import.meta.url), 'utf8'));

for (const { note, key, kid, now, permission, stored, receipt: expected } of cases) {
  test(`vector: ${note}`, () => {
    const found = parsePermission(permission.path);
    assert.ok(found);
    assert.equal(found.kid, kid);
    assert.equal(found.store, permission.store);
    assert.equal(found.expires, permission.expires);
    assert.equal(found.repositoryId, permission.repository_id);
    assert.equal(found.session, permission.session);
    assert.ok(isSigned(found, key));
    assert.equal(receipt(found, key, stored, now + 0.9), expected.path);
    assert.equal(objectKey(found, stored.object), stored.key);
  });
}

const [{ permission: { path }, key }] = cases;

test('one other character makes a path unsigned or malformed', () => {
  for (let at = 0; at < path.length; at++) {
    const other = path.slice(0, at) + (path[at] === 'a' ? 'b' : 'a') + path.slice(at + 1);
    const found = other === path ? undefined : parsePermission(other);
    assert.ok(!found || !isSigned(found, key), `at ${at}`);
  }
});

test('what is no permission', () => {
  const not = [
    '', '/', `${path}/`, `${path}\n`, path.slice(1), path.toUpperCase(), path.replace('_stream', '_direct'), path.replace('/a7/', '/c7/'),
    path.replace('/a7/', '/a/'), path.replace('/a7/', `/a${'1'.repeat(11)}/`), path.replace('/v2/acme/app', '/v2'), `${path}?x`,
  ];
  for (const other of not) {
    assert.equal(parsePermission(other), undefined, other);
  }
  assert.ok(isStreamPath('/v2/acme/app/blobs/uploads/_stream/x'));
  assert.ok(!isStreamPath('/v2/acme/app/blobs/uploads/x'));
});

test('the MAC covers the store', () => {
  for (const { permission, key: own } of cases.filter((/** @type {any} */ one) => one.permission.store !== 'default')) {
    const { path: named, store } = permission;
    for (const other of [`/_stream/third/`, '/_stream/default/', '/_stream/']) {
      const moved = parsePermission(named.replace(`/_stream/${store}/`, other));
      assert.ok(moved && moved.store !== store && !isSigned(moved, own), other);
    }
  }
  const moved = parsePermission(path.replace('/_stream/', '/_stream/second/'));
  assert.ok(moved && moved.store === 'second' && !isSigned(moved, key));
});

test('what is no store', () => {
  for (const store of ['', 's', 'S3', '2nd', 'second-', 'second_', '_second', 'sec.ond', 'second/third', 'sec%6fnd', 's'.repeat(65)]) {
    assert.equal(parsePermission(path.replace('/_stream/', `/_stream/${store}/`)), undefined, store);
  }
  assert.equal(parsePermission(path.replace('/_stream/', `/_stream/${'s'.repeat(64)}/`))?.store, 's'.repeat(64));
});

test('another key, or the MAC of another purpose, is no signature', () => {
  const found = parsePermission(path);
  assert.ok(found && !isSigned(found, cases[1].key));
  const forged = parsePermission(path.slice(0, -64) + cases[0].receipt.mac);
  assert.ok(forged && !isSigned(forged, key));
});

test('texts are compared whole', () => {
  assert.ok(same('secret', 'secret'));
  assert.ok(!same('secret', 'secre') && !same('', 'secret'));
});
