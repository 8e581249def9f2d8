import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeyRing } from '../keys.js';
import { keyIn } from '../ssm.js';

/** @param {Record<string, import('../keys.js').Slot | undefined>} slots */
function ring(slots) {
  /** @type {string[]} */
  const asked = [];
  const clock = { now: 1_000_000 };
  const state = { asked, clock, failing: false, keys: new KeyRing(read, () => clock.now) };
  /** @param {string} slot */
  async function read(slot) {
    asked.push(slot);
    if (state.failing) {
      throw new Error('SSM');
    }
    return slots[slot];
  }
  return state;
}

test('a key is read once, also when it is asked for twice at once', async () => {
  const { asked, keys } = ring({ a: { version: 7, key: 'seven' } });
  assert.deepEqual(await Promise.all([keys.find('a7'), keys.find('a7')]), ['seven', 'seven']);
  assert.equal(await keys.find('a7'), 'seven');
  assert.deepEqual(asked, ['a']);
});

test('a key that was replaced is none, after five minutes at the latest', async () => {
  const slots = { a: { version: 7, key: 'seven' } };
  const { clock, keys } = ring(slots);
  assert.equal(await keys.find('a7'), 'seven');
  slots.a = { version: 8, key: 'eight' };
  clock.now += 299_000;
  assert.equal(await keys.find('a7'), 'seven');
  clock.now += 1_000;
  assert.equal(await keys.find('a7'), undefined);
  assert.equal(await keys.find('a8'), 'eight');
});

test('a newer key is found when it is used', async () => {
  const slots = { a: { version: 7, key: 'seven' } };
  const { clock, keys } = ring(slots);
  await keys.find('a7');
  slots.a = { version: 8, key: 'eight' };
  clock.now += 5_000;
  assert.equal(await keys.find('a8'), 'eight');
  assert.equal(await keys.find('a7'), undefined);
});

test('invented kids ask seldom, and hinder nobody', async () => {
  const { asked, clock, keys } = ring({ a: { version: 7, key: 'seven' }, b: undefined });
  for (let i = 0; i < 1000; i++) {
    assert.equal(await keys.find(`a1${i}`), undefined);
    assert.equal(await keys.find(`b${i}`), undefined);
    assert.equal(await keys.find(`c${i}`), undefined);
    clock.now += 10;
  }
  assert.ok(asked.length <= 2 * 3, `${asked.length}`);
  assert.equal(await keys.find('a7'), 'seven');
  for (const kid of ['a', 'a07', 'a7.0', 'a0', 'b', 'b0']) {
    assert.ok(!(await keys.find(kid)), kid);
  }
});

test('a failure is told and not kept', async () => {
  const state = ring({ a: { version: 7, key: 'seven' } });
  state.failing = true;
  await assert.rejects(state.keys.find('a7'));
  state.failing = false;
  assert.equal(await state.keys.find('a7'), 'seven');
});

test('only what the secrets function writes is a key', () => {
  const key = 'ab'.repeat(32);
  assert.equal(keyIn(JSON.stringify({ v: 1, kid: 'a', key, created: '' }), 'a'), key);
  for (const text of [undefined, '', '{}', 'null', JSON.stringify({ v: 2, kid: 'a', key }), JSON.stringify({ v: 1, kid: 'b', key }),
    JSON.stringify({ v: 1, kid: 'a', key: 'short' })]) {
    assert.throws(() => keyIn(text, 'a'), { status: 503 });
  }
});
