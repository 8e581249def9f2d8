import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stream } from './support/client.js';
import { peakMegabytes } from './support/memory.js';
import { stage } from './support/stage.js';

const { ingest, send, permission } = await stage({}, { discard: true });

// `test/measure.js 700 8` is the long version.
test('eight uploads at once stay below 200 MB', async (t) => {
  const answers = await Promise.all(Array.from({ length: 8 }, () => send(permission().path, { body: stream(100_000_000) })));
  assert.deepEqual(answers.map(({ status }) => status), Array(8).fill(202));
  const peak = peakMegabytes(ingest.child.pid ?? 0);
  t.diagnostic(`the peak was ${peak} MB`);
  assert.ok(peak < 200, `${peak} MB`);
});
