// From a request to its answer: who may come in, what the path permits, and one line in the log.
import * as log from './log.js';
import { isSigned, isStreamPath, parsePermission, same } from './paths.js';
import { ClientGone, Refusal, errorBody, unknownUpload } from './refusal.js';
import { RequestBody } from './request-body.js';

/** @typedef {import('node:http').IncomingMessage} IncomingMessage */
/** @typedef {import('./registry.js').Answer} Answer */

// As the log of the usual proxies says it.
const CLIENT_CLOSED_REQUEST = 499;
const NO_CONTENT = 204;

/** @typedef {import('./ways.js').Ways} Ways */
/** @type {Record<string, (ways: Ways, request: import('./ways.js').Request) => Promise<Answer>>} */
const WAYS = {
  DELETE: (ways, request) => ways.ask(request),
  GET: (ways, request) => ways.ask(request),
  PATCH: (ways, request) => ways.patch(request),
  PUT: (ways, request) => ways.put(request),
};

export class App {
  /**
   * @param {string} frontDoor - what a request that came through the front door carries
   * @param {import('./keys.js').KeyRing} keys
   * @param {import('./ways.js').Ways} ways
   * @param {ReturnType<typeof import('./settings.js').readSettings>['limits']} limits
   */
  constructor(frontDoor, keys, ways, limits) {
    this.frontDoor = frontDoor;
    this.keys = keys;
    this.ways = ways;
    this.limits = limits;
  }

  /**
   * @param {IncomingMessage} message
   * @param {import('node:http').ServerResponse} response
   * @param {AbortSignal} stopping - the server waits no longer
   */
  async handle(message, response, stopping) {
    const started = performance.now();
    const over = new AbortController();
    const stop = () => over.abort(stopping.reason);
    stopping.addEventListener('abort', stop, { once: true });
    response.on('close', () => response.writableFinished || over.abort(new ClientGone()));
    const body = new RequestBody(message, over.signal, this.limits);
    const note = { method: message.method, way: wayOf(message), status: CLIENT_CLOSED_REQUEST, session: '' };
    const visit = { message, body, signal: over.signal, note, proved: false };
    try {
      const answer = await this.#serve(visit).catch((error) => this.#refuse(error, visit));
      note.status = answer.status;
      const length = answer.status === NO_CONTENT ? {} : { 'Content-Length': Buffer.byteLength(answer.body) };
      response.writeHead(answer.status, { ...answer.headers, ...length }).end(answer.body);
    } catch (error) {
      if (!(error instanceof ClientGone)) {
        throw error;
      }
      response.destroy();
    } finally {
      stopping.removeEventListener('abort', stop);
      const milliseconds = Math.round(performance.now() - started);
      log.info('request', { ...note, bytes: body.size, milliseconds });
    }
  }

  /** @typedef {{message: IncomingMessage, body: RequestBody, signal: AbortSignal, note: {session: string}, proved: boolean}} Visit */

  /** @param {Visit} visit @returns {Promise<Answer>} */
  async #serve(visit) {
    const { message, note } = visit;
    const shown = message.headers['x-moorage-front-door'];
    if (!same(typeof shown === 'string' ? shown : '', this.frontDoor)) {
      throw new Refusal(403, 'DENIED', 'uploads go through the front door of the registry');
    }
    const [path, query] = split(message.url ?? '');
    const permission = parsePermission(path);
    if (!permission) {
      throw isStreamPath(path) ? unknownUpload() : new Refusal(404, 'UNSUPPORTED', 'there is nothing under this address');
    }
    const way = WAYS[message.method ?? ''];
    if (!way) {
      const text = 'this upload takes one PATCH or PUT of the whole blob; start another upload for anything else';
      throw new Refusal(405, 'UNSUPPORTED', text, { Allow: Object.keys(WAYS).join(', ') });
    }
    const key = await this.keys.find(permission.kid);
    if (key === undefined || !isSigned(permission, key)) {
      throw unknownUpload();
    }
    note.session = permission.session.slice(0, 8);
    // Once, here: who began in time may take as long as it takes.
    if (Date.now() >= permission.expires * 1000) {
      throw new Refusal(404, 'BLOB_UPLOAD_UNKNOWN', 'the upload has expired; start it again');
    }
    visit.proved = true;
    const request = { ...visit, query, permission, key };
    return way(this.ways, request);
  }

  /**
   * The answer to a request that failed, after the rest of its body.
   * @param {unknown} error @param {Visit} visit @returns {Promise<Answer>}
   */
  async #refuse(error, { body, proved }) {
    if (error instanceof ClientGone) {
      throw error;
    }
    const limits = proved ? this.limits.drain : this.limits.drainUnproved;
    const idle = error instanceof Refusal && error.status === 408;
    const drained = !idle && (await body.drain(limits));
    /** @type {Record<string, string>} */
    const json = { 'Content-Type': 'application/json' };
    if (!drained) {
      json.Connection = 'close';
    }
    if (error instanceof Refusal) {
      return { status: error.status, headers: { ...json, ...error.headers }, body: error.body };
    }
    const { name, stack = '' } = /** @type {Error} */ (error);
    // The message may repeat what was asked for, the places do not.
    log.error('a request failed', { error: name, at: stack.split('\n').filter((line) => /^\s+at /.test(line)).slice(0, 5) });
    return { status: 500, headers: json, body: errorBody('UNSUPPORTED', 'the registry failed to process the request') };
  }
}

/** @param {string} url */
function split(url) {
  const mark = url.indexOf('?');
  return mark < 0 ? [url, ''] : [url.slice(0, mark), url.slice(mark + 1)];
}

/** @param {IncomingMessage} message */
function wayOf({ method, headers }) {
  if (method !== 'PATCH') {
    return method === 'PUT' ? 'whole' : '';
  }
  return headers['content-range'] === undefined ? 'stream' : 'chunk';
}
