// GetParameter, for the upload keys.
import { once } from 'node:events';
import { createServer } from 'node:http';

export const KEYS = { a7: '7f4e1c0b'.repeat(8), b8: '00112233'.repeat(8) };
const VERSIONS = { a: 7, b: 8 };
export const PREFIX = '/moorage/upload-key';

export async function startSsm() {
  /** @type {string[]} */
  const asked = [];
  const state = { failing: false, url: '', asked, close: () => server.close() };
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) {
      chunks.push(chunk);
    }
    const { Name: name } = JSON.parse(Buffer.concat(chunks).toString());
    const slot = name.slice(PREFIX.length + 1);
    asked.push(slot);
    const version = VERSIONS[/** @type {keyof typeof VERSIONS} */ (slot)];
    const key = KEYS[/** @type {keyof typeof KEYS} */ (`${slot}${version}`)];
    response.setHeader('Content-Type', 'application/x-amz-json-1.1');
    if (state.failing) {
      response.writeHead(400).end(JSON.stringify({ __type: 'AccessDeniedException' }));
    } else if (!key) {
      response.writeHead(400).end(JSON.stringify({ __type: 'ParameterNotFound' }));
    } else {
      const value = JSON.stringify({ v: 1, kid: slot, key, created: '2026-11-01T00:00:00Z' });
      response.end(JSON.stringify({ Parameter: { Name: name, Value: value, Version: version } }));
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  state.url = `http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}`;
  return state;
}
