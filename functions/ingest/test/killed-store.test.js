// A store that is killed in the middle of an upload: SeaweedFS where S3_TEST_PID names one to kill.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MIB } from './support/stage.js';
import { permission, startIngest } from './support/ingest.js';
import { send, stream } from './support/client.js';
import { startSsm } from './support/ssm-stub.js';
import { viewStore } from './support/store-view.js';

const STUB = new URL('support/s3-stub.js', import.meta.url);

async function startStore() {
  if (process.env.S3_TEST_PID) {
    return { url: process.env.S3_TEST_ENDPOINT ?? '', pid: Number(process.env.S3_TEST_PID) };
  }
  const code = `import { startS3 } from '${STUB}'; console.log((await startS3()).url)`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(child.stdout, 'data');
  return { url: line.toString().trim(), pid: child.pid ?? 0 };
}

test('kill -9 of the store: the client is told to come back', async (t) => {
  const store = await startStore();
  const ssm = await startSsm();
  const ingest = await startIngest({ s3: store.url, ssm: ssm.url });
  const view = viewStore(store.url);
  t.after(async () => {
    await ingest.stop();
    ssm.close();
    view.close();
  });
  await view.createBucket();
  const given = permission();
  const answer = await send(ingest.port, given.path, {
    body: (async function* () {
      yield* stream(20 * MIB);
      for (let i = 0; i < 100 && !(await view.uploads(given.session)); i++) {
        await sleep(20);
      }
      process.kill(store.pid, 'SIGKILL');
      yield* stream(80 * MIB);
    })(),
  });
  assert.deepEqual([answer.status, answer.code, answer.headers['retry-after']], [503, 'TOOMANYREQUESTS', '2']);
  assert.equal((await send(ingest.port, permission().path, { body: 'x' })).status, 503);
  assert.equal(ingest.requests()[0].bytes, 100 * MIB);
});
