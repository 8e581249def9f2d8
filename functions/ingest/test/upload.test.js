// What a blob can be at most, with a store that only counts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PartBuffers } from '../part-buffers.js';
import { Upload } from '../upload.js';

function counting() {
  const calls = { begun: 0, parts: 0, completed: 0, aborted: 0 };
  const store = {
    begin: async () => `${(calls.begun += 1)}`,
    sendPart: async () => ({ part: { PartNumber: (calls.parts += 1), ETag: '', ChecksumCRC32: '' }, attempts: 1 }),
    complete: async () => void (calls.completed += 1),
    abort: async () => void (calls.aborted += 1),
  };
  return { calls, store: /** @type {any} */ (store) };
}

/** @param {any} store @param {number} bytes */
async function send(store, bytes) {
  const upload = new Upload(store, new PartBuffers({ count: 5, bytes: 2 }), 'key', new AbortController().signal);
  try {
    for (let sent = 0; sent < bytes; sent++) {
      await upload.write(Buffer.from('x'));
    }
    return await upload.finish();
  } catch (error) {
    await upload.abandon(error);
    throw error;
  }
}

test('a blob of as many parts as S3 takes is stored', async () => {
  const { calls, store } = counting();
  assert.equal((await send(store, 20_000)).size, 20_000);
  assert.deepEqual(calls, { begun: 1, parts: 10_000, completed: 1, aborted: 0 });
});

test('a body without end is given up after as many parts, and leaves nothing', async () => {
  const { calls, store } = counting();
  await assert.rejects(send(store, Infinity), { status: 413, code: 'UNSUPPORTED' });
  assert.deepEqual(calls, { begun: 1, parts: 10_000, completed: 0, aborted: 1 });
});
