import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { PartBuffers } from '../part-buffers.js';

const { signal } = new AbortController();
const [one, two, three] = [{ name: 1 }, { name: 2 }, { name: 3 }];

test('there are never more buffers than the budget, and they are used again', async () => {
  const buffers = new PartBuffers({ count: 2, bytes: 8 });
  const first = await buffers.take(one, signal);
  await buffers.take(one, signal);
  const third = buffers.take(one, signal);
  assert.equal(await Promise.race([third, sleep(10, 'waits')]), 'waits');
  buffers.giveBack(one, first);
  assert.equal(await third, first);
});

test('a buffer that somebody may still read from is not used again', async () => {
  const buffers = new PartBuffers({ count: 1, bytes: 8 });
  const first = await buffers.take(one, signal);
  buffers.giveBack(one, undefined);
  assert.notEqual(await buffers.take(two, signal), first);
});

test('who holds the fewest comes first, then who waits longest', async () => {
  const buffers = new PartBuffers({ count: 2, bytes: 8 });
  const held = [await buffers.take(one, signal), await buffers.take(one, signal)];
  /** @type {number[]} */
  const order = [];
  const waits = [one, two, three].map(async (owner) => {
    const buffer = await buffers.take(owner, signal);
    order.push(owner.name);
    await sleep(1);
    buffers.giveBack(owner, buffer);
  });
  buffers.giveBack(one, held[0]);
  await Promise.all(waits);
  assert.deepEqual(order, [2, 3, 1]);
});

test('a wait ends when its upload does, and after a time', async () => {
  const buffers = new PartBuffers({ count: 1, bytes: 8, waitMilliseconds: 20 });
  const only = await buffers.take(one, signal);
  const gone = new AbortController();
  const waiting = buffers.take(two, gone.signal);
  gone.abort(new Error('gone'));
  await assert.rejects(async () => waiting, /gone/);
  await assert.rejects(async () => buffers.take(two, signal), { status: 503 });
  buffers.giveBack(one, only);
  assert.equal(await buffers.take(three, signal), only);
});
