// A client that can misbehave.
import { request } from 'node:http';
import { SECRET } from './ingest.js';

/**
 * @typedef {object} Sent
 * @property {string} [method]
 * @property {Record<string, string | number>} [headers]
 * @property {Buffer | string | AsyncIterable<Buffer>} [body] - an iterable goes chunked
 * @property {string | null} [secret]
 */

/** @param {number} port @param {string} path @param {Sent} [sent] */
export function send(port, path, { method = 'PATCH', headers = {}, body = '', secret = SECRET } = {}) {
  const given = { ...(secret === null ? {} : { 'x-moorage-front-door': secret }), ...headers };
  const options = { host: '127.0.0.1', port, path, method, headers: given, agent: false };
  return new Promise((resolve, reject) => {
    const outgoing = request(options, async (response) => {
      const chunks = [];
      for await (const chunk of response) {
        chunks.push(chunk);
      }
      const text = Buffer.concat(chunks).toString();
      resolve({
        status: response.statusCode,
        headers: response.headers,
        text,
        code: text.startsWith('{"errors"') ? JSON.parse(text).errors[0].code : undefined,
      });
    });
    outgoing.on('error', reject);
    if (typeof body === 'string' || Buffer.isBuffer(body)) {
      outgoing.end(body);
    } else {
      feed(outgoing, body).catch(reject);
    }
  });
}

/** @param {import('node:http').ClientRequest} outgoing @param {AsyncIterable<Buffer>} body */
async function feed(outgoing, body) {
  for await (const chunk of body) {
    if (!outgoing.write(chunk)) {
      await new Promise((resolve) => outgoing.once('drain', resolve));
    }
  }
  outgoing.end();
}

/** @param {number} size @param {Buffer} [block] */
export async function* stream(size, block = Buffer.alloc(64 * 1024, 'moorage')) {
  for (let left = size; left > 0; left -= block.length) {
    yield left < block.length ? block.subarray(0, left) : block;
  }
}
