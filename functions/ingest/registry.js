// The registry's own API, which closes an upload that came whole in one PUT, and knows how uploads stand.
import * as log from './log.js';
import { unavailable } from './refusal.js';

const PASSED_ON = ['authorization', 'user-agent', 'x-moorage-front-door', 'x-moorage-host'];
const PASSED_BACK = [
  'Location', 'Range', 'Docker-Content-Digest', 'Docker-Upload-UUID', 'WWW-Authenticate', 'Retry-After', 'Content-Type',
];
// The gateway gives up after 30 s.
const MILLISECONDS = 35_000;
const MOST_BYTES = 1024 * 1024;

/** @typedef {{status: number, headers: Record<string, string>, body: Buffer | string}} Answer */

/**
 * Sends a request to the registry in the client's name.
 * @typedef {(method: string, path: string, headers: import('node:http').IncomingHttpHeaders) => Promise<Answer>} Registry
 */

/**
 * @param {string} url - of the API, with or without a path
 * @returns {Registry}
 */
export function connectRegistry(url) {
  const base = url.replace(/\/+$/, '');
  return async (method, path, headers) => {
    const given = PASSED_ON.flatMap((name) => (typeof headers[name] === 'string' ? [[name, headers[name]]] : []));
    try {
      const answer = await fetch(`${base}${path}`, {
        method,
        headers: Object.fromEntries(given),
        redirect: 'manual',
        signal: AbortSignal.timeout(MILLISECONDS),
      });
      return { status: answer.status, headers: passedBack(answer.headers), body: await bytes(answer) };
    } catch (error) {
      log.warning('the registry failed', { method, error: /** @type {Error} */ (error).name });
      throw unavailable('the registry cannot say how the upload stands at the moment; try again');
    }
  };
}

/** @param {Headers} headers */
function passedBack(headers) {
  /** @type {Record<string, string>} */
  const kept = {};
  for (const name of PASSED_BACK) {
    const value = headers.get(name);
    if (value !== null) {
      kept[name] = value;
    }
  }
  return kept;
}

/** @param {Response} answer */
async function bytes(answer) {
  const chunks = [];
  let size = 0;
  for await (const chunk of answer.body ?? []) {
    size += chunk.length;
    if (size > MOST_BYTES) {
      throw new RangeError('the answer is too long');
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
