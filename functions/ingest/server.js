// The HTTP server: its limits, what it says to what is no HTTP request, and how it ends.
import { createServer, STATUS_CODES } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import * as log from './log.js';
import { errorBody, unavailable } from './refusal.js';

const OPTIONS = {
  // CloudFront passes 20 kB on, and adds its own.
  maxHeaderSize: 64 * 1024,
  headersTimeout: 30_000,
  // A layer takes as long as it takes; that it does not stop, the reading itself watches.
  requestTimeout: 0,
  // Longer than the front door keeps its connections, so that it is never the one to meet a closed one.
  keepAliveTimeout: 75_000,
};

/** @type {Record<string, [number, string]>} */
const MALFORMED = {
  HPE_HEADER_OVERFLOW: [431, 'the headers of the request are too long'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'the request did not begin in time'],
};

/**
 * @param {import('./app.js').App} app
 * @param {{shutdownMilliseconds: number}} limits
 */
export function createIngest(app, { shutdownMilliseconds }) {
  const stopping = new AbortController();
  /** @type {Set<Promise<void>>} */
  const underWay = new Set();
  const server = createServer(OPTIONS, (message, response) => {
    if (!server.listening) {
      response.setHeader('Connection', 'close');
    }
    const handled = app.handle(message, response, stopping.signal).catch((error) => {
      log.error('a request could not be answered', { error: error.name });
      response.destroy();
    });
    underWay.add(handled);
    handled.finally(() => underWay.delete(handled));
  });
  server.timeout = 0;
  server.on('clientError', refuse);
  return { server, stop };

  /** Ends: what is under way has a moment to finish, the rest leaves nothing in the store. */
  async function stop() {
    server.close();
    server.closeIdleConnections();
    await Promise.race([settled(), sleep(shutdownMilliseconds)]);
    stopping.abort(unavailable('the registry is being restarted; try again'));
    await Promise.race([settled(), sleep(shutdownMilliseconds)]);
    server.closeAllConnections();
  }

  async function settled() {
    while (underWay.size) {
      await Promise.allSettled(underWay);
    }
  }
}

/** @param {Error & {code?: string}} error @param {import('node:stream').Duplex} socket */
function refuse(error, socket) {
  // In the middle of a body the request itself has seen its connection end.
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const [status, message] = MALFORMED[error.code ?? ''] ?? [400, 'this is no HTTP request'];
  const body = errorBody('UNSUPPORTED', message);
  log.info('request', { method: '', way: '', status, bytes: 0, milliseconds: 0, session: '' });
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}
