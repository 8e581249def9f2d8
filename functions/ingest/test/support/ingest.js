// The server as a process of its own, as it is deployed, with stand-ins around it.
import { spawn } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { KEYS, PREFIX } from './ssm-stub.js';

export const SECRET = 'front-door-secret';
const ENTRY = process.env.INGEST_ENTRY ?? fileURLToPath(new URL('../../index.js', import.meta.url));

/**
 * @param {{s3: string, ssm: string, registry?: string}} urls
 * @param {Record<string, string>} [settings]
 */
export async function startIngest(urls, settings = {}) {
  const env = {
    PATH: process.env.PATH,
    // As it is deployed: few bodies' bytes wait for the next collection.
    NODE_OPTIONS: '--max-semi-space-size=1',
    AWS_LAMBDA_HTTP_ENDPOINT: '127.0.0.1:0',
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: process.env.S3_TEST_ACCESS_KEY ?? 'key',
    AWS_SECRET_ACCESS_KEY: process.env.S3_TEST_SECRET_KEY ?? 'secret',
    AWS_ENDPOINT_URL: urls.ssm,
    AWS_ENDPOINT_URL_S3: urls.s3,
    BUCKET_NAME: 'bucket',
    S3_ADDRESSING_STYLE: 'path',
    UPLOAD_KEY_PARAMETER_PREFIX: PREFIX,
    ORIGIN_SECRET: SECRET,
    REGISTRY_URL: urls.registry ?? 'http://127.0.0.1:9',
    ...settings,
  };
  const child = spawn(process.execPath, [ENTRY], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  /** @type {any[]} */
  const lines = [];
  const reader = createInterface({ input: child.stdout });
  const exited = once(child, 'exit');
  const port = await new Promise((resolve, reject) => {
    exited.then(([code]) => reject(new Error(`ingest ended with ${code}`)));
    reader.on('line', (text) => {
      const line = JSON.parse(text);
      lines.push(line);
      if (line.message === 'listening') {
        resolve(line.port);
      }
    });
  });
  return {
    child,
    exited,
    port,
    lines,
    requests: () => lines.filter((line) => line.message === 'request'),
    async stop() {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

/** A permission as the registry writes it. */
export function permission({
  name = 'acme/app',
  store = '',
  kid = 'a7',
  expires = Math.floor(Date.now() / 1000) + 600,
  repository = randomBytes(16).toString('hex'),
  session = randomBytes(16).toString('hex'),
  key = KEYS.a7,
  method = 'PATCH',
} = {}) {
  const signed = `/v2/${name}/blobs/uploads/_stream/${store && `${store}/`}${kid}/${expires}/${repository}/${session}`;
  const mac = createHmac('sha256', key).update(`${method}\n${signed}`).digest('hex');
  return { path: `${signed}/${mac}`, expires, repository, session };
}
