// Ingest between stand-ins, for one test file.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { send } from './client.js';
import { permission, startIngest } from './ingest.js';
import { startS3 } from './s3-stub.js';
import { startSsm } from './ssm-stub.js';
import { viewStore } from './store-view.js';

export const MIB = 1024 * 1024;
export const PART = 8 * MIB;
/** Skips a test that needs faults to order. */
export const ONLY_STUB = { skip: process.env.S3_TEST_ENDPOINT ? 'a real store has no faults to order' : false };

/** @param {Record<string, string>} [settings] @param {{discard?: boolean}} [options] */
export async function stage(settings = {}, options = {}) {
  const real = process.env.S3_TEST_ENDPOINT;
  const stub = real ? undefined : await startS3(options);
  const url = real ?? stub?.url ?? '';
  const ssm = await startSsm();
  const registry = await startRegistry();
  const ingest = await startIngest({ s3: url, ssm: ssm.url, registry: `${registry.url}/base` }, settings);
  const store = viewStore(url);
  await store.createBucket();
  after(async () => {
    await ingest.stop();
    [stub, ssm, registry, store].forEach((one) => one?.close());
  });
  return {
    ingest, ssm, registry, store,
    /** Another bucket of the same S3. @param {string} name */
    bucket: (name) => viewStore(url, name),
    s3: /** @type {NonNullable<typeof stub>} */ (stub),
    /** @param {string} path @param {import('./client.js').Sent} [sent] */
    send: (path, sent) => send(ingest.port, path, sent),
    permission,
    /** What the log says of the request of a session, once it has ended. @param {{session: string}} given */
    async over({ session }) {
      for (let i = 0; i < 200; i++) {
        const found = ingest.requests().find((line) => line.session === session.slice(0, 8));
        if (found) {
          return found;
        }
        await sleep(50);
      }
      throw new Error('the request has no end');
    },
    /** Nothing of a session is in the store, now or in a moment. @param {{session: string, repository: string}} given */
    async assertNothingLeft({ session, repository }) {
      const left = async () => [
        ...(await store.keys(`stream/${session.slice(0, 2)}/${repository}/${session}/`)),
        ...(await store.keys(`chunks/${repository}/${session}/`)),
        ...Array(await store.uploads(session)).fill('multipart upload'),
      ];
      for (let i = 0; (await left()).length && i < 50; i++) {
        await sleep(100);
      }
      assert.deepEqual(await left(), []);
    },
    /** The one object of a session. @param {{session: string, repository: string}} given */
    async stored({ session, repository }) {
      const keys = await store.keys(`stream/${session.slice(0, 2)}/${repository}/${session}/`);
      assert.equal(keys.length, 1);
      return { key: keys[0], content: await store.content(keys[0]) };
    },
  };
}

async function startRegistry() {
  /** @type {{url?: string, method?: string, headers: import('node:http').IncomingHttpHeaders, body: string}[]} */
  const requests = [];
  const state = {
    url: '', requests, close: () => server.close(),
    answer: { status: 201, headers: { Location: '/v2/acme/app/blobs/x', 'Docker-Content-Digest': 'd', 'X-Internal': 'no' }, body: '' },
  };
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) {
      body += chunk;
    }
    requests.push({ url: request.url, method: request.method, headers: request.headers, body });
    response.writeHead(state.answer.status, state.answer.headers).end(state.answer.body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  state.url = `http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}`;
  return state;
}
