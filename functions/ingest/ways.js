// What a request may do with the upload that its path permits: one PATCH, a first chunk, or one PUT; asking how it
// stands, and giving it up.
import { randomBytes } from 'node:crypto';
import { announcedLength, announcedSize, digestIn, requireSize } from './headers.js';
import { objectKey, receipt } from './paths.js';
import { Refusal, tooLarge } from './refusal.js';
import { Upload } from './upload.js';

// What a session of chunks may hold, all in all.
const LARGEST_CHUNK = 256 * 1024 * 1024;

/**
 * @typedef {object} Request
 * @property {import('node:http').IncomingMessage} message
 * @property {import('./request-body.js').RequestBody} body
 * @property {AbortSignal} signal
 * @property {string} query
 * @property {import('./paths.js').Permission} permission
 * @property {string} key
 */
/** @typedef {import('./registry.js').Answer} Answer */
/** @typedef {{object: string, size: number, sha256: string}} Stored */

export class Ways {
  /**
   * @param {import('./object-store.js').Stores} stores
   * @param {import('./part-buffers.js').PartBuffers} buffers
   * @param {import('./registry.js').Registry} registry
   */
  constructor(stores, buffers, registry) {
    this.stores = stores;
    this.buffers = buffers;
    this.registry = registry;
  }

  /** The whole blob, or its first chunk. @param {Request} request @returns {Promise<Answer>} */
  async patch(request) {
    const { message, permission } = request;
    const announced = announcedSize(message, permission.path);
    const stored = await this.#store(request, announced);
    const headers = {
      Location: this.#receipt(request, stored),
      Range: `0-${Math.max(stored.size - 1, 0)}`,
      'Docker-Upload-UUID': permission.session,
    };
    return { status: 202, headers, body: '' };
  }

  /** The whole blob and its digest: the registry is asked to close the upload. @param {Request} request */
  async put(request) {
    const digest = digestIn(request.query);
    const announced = announcedSize(request.message, request.permission.path);
    const stored = await this.#store(request, announced, (sha256) => {
      // Other digests the registry verifies.
      if (digest.startsWith('sha256:') && digest !== `sha256:${sha256}`) {
        throw new Refusal(400, 'DIGEST_INVALID', 'the content does not have that digest');
      }
    });
    const path = `${this.#receipt(request, stored)}?digest=${encodeURIComponent(digest)}`;
    return this.registry('PUT', path, request.message.headers);
  }

  /** GET and DELETE: only the registry knows the upload, and whose it is. @param {Request} request @returns {Promise<Answer>} */
  ask({ message, permission }) {
    return this.registry(message.method ?? '', `${permission.uploads}${permission.session}`, message.headers);
  }

  /**
   * @param {Request} request
   * @param {number | undefined} announced - size of the body, if a Content-Range says it
   * @param {(sha256: string) => void} [check]
   * @returns {Promise<Stored>}
   */
  async #store({ message, body, signal, permission }, announced, check) {
    const chunk = announced !== undefined && message.method === 'PATCH';
    if (chunk && announced > LARGEST_CHUNK) {
      throw tooLarge(`a blob that is sent in chunks has at most ${LARGEST_CHUNK} bytes. Split the layer into smaller ones`);
    }
    const limit = this.buffers.bytes * 10_000;
    if ((announcedLength(message) ?? 0) > limit) {
      throw tooLarge(`a blob has at most ${limit} bytes. Split the layer into smaller ones`);
    }
    // A random name: what another request of this session stores stays as it is.
    const object = chunk ? `c-${randomBytes(8).toString('hex')}` : `s-${randomBytes(16).toString('hex')}`;
    const upload = new Upload(this.stores(permission.store), this.buffers, objectKey(permission, object), signal);
    try {
      await body.consume((bytes) => {
        if (announced !== undefined && upload.size + bytes.length > announced) {
          requireSize(upload.size + bytes.length, announced);
        }
        return upload.write(bytes);
      });
      if (announced !== undefined) {
        requireSize(upload.size, announced);
      }
      return { object, ...(await upload.finish(check)) };
    } catch (error) {
      await upload.abandon(error);
      throw error;
    }
  }

  /** @param {Request} request @param {Stored} stored */
  #receipt({ permission, key }, stored) {
    return receipt(permission, key, stored, Date.now() / 1000);
  }
}
