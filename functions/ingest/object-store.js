// Buckets: whole objects and multipart uploads, each request tried again while the store may recover.
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import * as log from './log.js';
import { unavailable } from './refusal.js';

/** @typedef {{PartNumber: number, ETag: string | undefined, ChecksumCRC32: string}} Part */

const ATTEMPTS = 4;
const FIRST_PAUSE = 100;
// TLS copies what it is given at once; each write costs the same, however much it is.
const SLICE = 256 * 1024;
const CONNECT_MILLISECONDS = 3_000;
const NEVER = new AbortController().signal;

export class ObjectStore {
  /** @param {S3Client} client @param {string} bucket @param {number} attemptMilliseconds */
  constructor(client, bucket, attemptMilliseconds) {
    this.client = client;
    this.bucket = bucket;
    this.attemptMilliseconds = attemptMilliseconds;
  }

  /** @param {string} key @param {Buffer} content @param {string} sha256 @param {AbortSignal} signal */
  async put(key, content, sha256, signal) {
    const ChecksumSHA256 = Buffer.from(sha256, 'hex').toString('base64');
    return this.#try(signal, () => new PutObjectCommand({ ...this.#at(key), ...body(content), ChecksumSHA256 }));
  }

  /** Begins a multipart upload. @param {string} key @returns {Promise<string>} its id */
  async begin(key) {
    const { answer } = await this.#try(NEVER, () =>
      new CreateMultipartUploadCommand({ ...this.#at(key), ChecksumAlgorithm: 'CRC32' }));
    return /** @type {string} */ (answer.UploadId);
  }

  /**
   * @param {string} key
   * @param {string} id
   * @param {number} number
   * @param {Buffer} content
   * @param {AbortSignal} signal
   * @returns {Promise<{part: Part, attempts: number}>}
   */
  async sendPart(key, id, number, content, signal) {
    const checksum = Buffer.alloc(4);
    checksum.writeUInt32BE(crc32(content));
    const named = { UploadId: id, PartNumber: number, ChecksumCRC32: checksum.toString('base64') };
    const { answer, attempts } = await this.#try(signal, () =>
      new UploadPartCommand({ ...this.#at(key), ...body(content), ...named }));
    return { part: { PartNumber: number, ETag: answer.ETag, ChecksumCRC32: named.ChecksumCRC32 }, attempts };
  }

  /** @param {string} key @param {string} id @param {Part[]} parts */
  async complete(key, id, parts) {
    await this.#try(NEVER, () =>
      new CompleteMultipartUploadCommand({ ...this.#at(key), UploadId: id, MultipartUpload: { Parts: parts } }));
  }

  /** Drops a multipart upload; where that fails, the bucket's own rule does it later. @param {string} key @param {string} id */
  async abort(key, id) {
    try {
      const command = () => new AbortMultipartUploadCommand({ ...this.#at(key), UploadId: id });
      await this.#try(NEVER, command);
    } catch {
      log.warning('a multipart upload was left behind');
    }
  }

  /** @param {string} key */
  #at(key) {
    return { Bucket: this.bucket, Key: key };
  }

  /**
   * @param {AbortSignal} signal
   * @param {() => any} command
   * @returns {Promise<{answer: any, attempts: number}>}
   * @throws {import('./refusal.js').Refusal} the store failed. Also the signal's reason.
   */
  async #try(signal, command) {
    for (let attempts = 1; ; attempts++) {
      signal.throwIfAborted();
      const sent = command();
      try {
        return { answer: await this.#send(sent, signal), attempts };
      } catch (error) {
        signal.throwIfAborted();
        const { name, $metadata } = /** @type {any} */ (error);
        const status = $metadata?.httpStatusCode;
        log.warning('the store failed', { operation: sent.constructor.name, error: name, status, attempts });
        if (attempts === ATTEMPTS || !mayRecover(status)) {
          throw unavailable('the registry cannot store the blob at the moment; try again');
        }
        await sleep(FIRST_PAUSE * 2 ** attempts * (0.5 + Math.random() / 2));
      } finally {
        sent.input.Body?.destroy();
      }
    }
  }

  /** @param {any} command @param {AbortSignal} signal */
  async #send(command, signal) {
    const attempt = new AbortController();
    const stop = () => attempt.abort();
    const timer = setTimeout(stop, this.attemptMilliseconds);
    signal.addEventListener('abort', stop, { once: true });
    try {
      return await this.client.send(command, { abortSignal: attempt.signal });
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    }
  }
}

/** @param {number | undefined} status */
function mayRecover(status) {
  return status === undefined || status >= 500 || status === 429 || status === 408 || status === 400;
}

/** @param {Buffer} content */
function body(content) {
  let start = 0;
  const Body = new Readable({
    highWaterMark: SLICE,
    read() {
      const slice = content.subarray(start, start + SLICE);
      start += slice.length;
      this.push(slice.length > 0 ? slice : null);
    },
  });
  return { Body, ContentLength: content.length };
}

/** @typedef {(name: string) => ObjectStore} Stores - throws a Refusal where there is none of that name */

/**
 * @param {{buckets: Map<string, {bucket: string, region?: string}>, pathStyle: boolean, attemptMilliseconds: number}} settings
 * @returns {Stores}
 */
export function connectStores({ buckets, pathStyle, attemptMilliseconds }) {
  /** @type {Map<string | undefined, S3Client>} */
  const clients = new Map();
  /** @type {Map<string, ObjectStore>} */
  const stores = new Map();
  for (const [name, { bucket, region }] of buckets) {
    const client = clients.get(region) ?? connect(region, pathStyle);
    clients.set(region, client);
    stores.set(name, new ObjectStore(client, bucket, attemptMilliseconds));
  }
  return (name) => {
    const store = stores.get(name);
    if (!store) {
      // The path is signed: the registry knows a store that this revision does not know, or not any more.
      log.warning('there is no such store', { store: name });
      throw unavailable('the registry cannot store the blob at the moment; try again');
    }
    return store;
  };
}

/** @param {string | undefined} region - undefined: the function's own @param {boolean} pathStyle */
function connect(region, pathStyle) {
  return new S3Client({
    ...(region === undefined ? {} : { region }),
    forcePathStyle: pathStyle,
    // Bodies are streams, which the SDK can neither repeat nor hash in advance.
    maxAttempts: 1,
    // Says on the console that it does not repeat a stream.
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: CONNECT_MILLISECONDS, httpAgent: { maxSockets: 128 }, httpsAgent: { maxSockets: 128 } },
  });
}
