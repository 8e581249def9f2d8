// What an upload takes, in time and memory: node test/measure.js [MB] [uploads at once]
//
// Against the S3 that S3_TEST_ENDPOINT names, beside the same bytes PUT into it by curl; else against a stand-in
// that drops what it gets.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { send, stream } from './support/client.js';
import { permission, startIngest } from './support/ingest.js';
import { peakMegabytes } from './support/memory.js';
import { startS3 } from './support/s3-stub.js';
import { startSsm } from './support/ssm-stub.js';
import { viewStore } from './support/store-view.js';

const [megabytes = 700, atOnce = 1] = process.argv.slice(2).map(Number);
const real = process.env.S3_TEST_ENDPOINT;
const s3 = real ? { url: real, close() {} } : await startS3({ discard: true });
const ssm = await startSsm();
const tuning = /** @type {[string, string][]} */ (Object.entries(process.env).filter(([name]) => /^(?:INGEST_|NODE_OPTIONS)/.test(name)));
const ingest = await startIngest({ s3: s3.url, ssm: ssm.url }, Object.fromEntries(tuning));
const folder = mkdtempSync(join(tmpdir(), 'ingest-measure-'));
const file = join(folder, 'layer');
const view = viewStore(s3.url);
await view.createBucket();
await send(ingest.port, permission().path, { body: 'warm' });

/** @param {string} name @param {() => unknown} work */
async function timed(name, work) {
  const start = performance.now();
  await work();
  const seconds = (performance.now() - start) / 1000;
  const total = megabytes * atOnce;
  console.log(`${name}: ${seconds.toFixed(1)} s, ${Math.round(total / seconds)} MB/s, ingest's peak ${peakMegabytes(ingest.child.pid ?? 0)} MB`);
}

/** @param {string[]} given */
const curl = (...given) => execFileSync('curl', ['-sSf', '-o', '/dev/null', ...given]);

console.log(`${atOnce} x ${megabytes} MB, Node ${process.version}, ${real ? 'S3_TEST_ENDPOINT' : 'stand-in'}`);
if (atOnce === 1) {
  const block = randomBytes(1_000_000);
  writeFileSync(file, Buffer.concat(Array.from({ length: megabytes }, () => block)));
  for (let i = 0; i < 2; i++) {
    if (real) {
      await timed('raw PUT', () =>
        curl('-T', file, '--aws-sigv4', 'aws:amz:us-east-1:s3', '-u', 'key:secret', '-H', 'x-amz-content-sha256: UNSIGNED-PAYLOAD', `${real}/bucket/raw-${i}`));
    }
    await timed('PATCH, chunked', () =>
      curl('-X', 'PATCH', '-T', file, '-H', 'Transfer-Encoding: chunked', '-H', 'Expect:', '-H', 'x-moorage-front-door: front-door-secret',
        `http://127.0.0.1:${ingest.port}${permission().path}`));
  }
} else {
  await timed('PATCH, chunked', () =>
    Promise.all(Array.from({ length: atOnce }, () => send(ingest.port, permission().path, { body: stream(megabytes * 1_000_000) }))));
}
console.log(ingest.lines.filter((l) => l.level !== 'INFO').length, 'warnings');
rmSync(folder, { recursive: true });
await ingest.stop();
s3.close();
ssm.close();
view.close();
