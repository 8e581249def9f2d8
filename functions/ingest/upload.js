// One blob on its way into the store: hashed while it comes in, sent in parts where it is larger than one.
import { createHash } from 'node:crypto';
import { tooLarge } from './refusal.js';

const MOST_PARTS = 10_000;
const PARTS_SIDE_BY_SIDE = 4;

/** @typedef {import('./object-store.js').Part} Part */

export class Upload {
  /**
   * @param {import('./object-store.js').ObjectStore} store
   * @param {import('./part-buffers.js').PartBuffers} buffers
   * @param {string} key
   * @param {AbortSignal} signal - of the request that brings it
   */
  constructor(store, buffers, key, signal) {
    this.store = store;
    this.buffers = buffers;
    this.key = key;
    this.size = 0;
    this.hash = createHash('sha256');
    this.stop = new AbortController();
    signal.addEventListener('abort', () => this.stop.abort(signal.reason), { once: true });
    /** @type {Buffer | undefined} The part that is being filled. */
    this.buffer = undefined;
    this.filled = 0;
    /** @type {Promise<string> | undefined} Id of the multipart upload, once there is one. */
    this.begun = undefined;
    this.ended = false;
    /** @type {Part[]} */
    this.parts = [];
    this.sent = 0;
    /** @type {Set<Promise<void>>} */
    this.sending = new Set();
  }

  /**
   * Takes the next bytes; the promise, if there is one, says when it can take more.
   * @param {Buffer} chunk
   * @returns {void | Promise<void>}
   */
  write(chunk) {
    this.stop.signal.throwIfAborted();
    this.hash.update(chunk);
    this.size += chunk.length;
    if (this.buffer && this.filled + chunk.length <= this.buffer.length) {
      this.filled += chunk.copy(this.buffer, this.filled);
      return undefined;
    }
    return this.#spread(chunk);
  }

  /**
   * Stores what has come in.
   * @param {(sha256: string) => void} [check] - throws where the content is not what it should be
   * @returns {Promise<{size: number, sha256: string}>}
   */
  async finish(check) {
    const sha256 = this.hash.digest('hex');
    check?.(sha256);
    if (this.begun) {
      await this.#send();
      await Promise.all(this.sending);
      this.stop.signal.throwIfAborted();
      // From here on it is stored or not: ended by the signal, it would be neither.
      await this.store.complete(this.key, await this.begun, this.parts);
    } else {
      await this.#keep((content) => this.store.put(this.key, content, sha256, this.stop.signal));
    }
    this.ended = true;
    return { size: this.size, sha256 };
  }

  /** Leaves nothing in the store of what is not finished. @param {unknown} reason */
  async abandon(reason) {
    if (this.ended) {
      return;
    }
    this.ended = true;
    this.stop.abort(reason);
    if (this.buffer) {
      this.buffers.giveBack(this, this.buffer);
      this.buffer = undefined;
    }
    // A part that arrives later would stay.
    await Promise.allSettled(this.sending);
    const id = await this.begun?.catch(() => undefined);
    if (id !== undefined) {
      await this.store.abort(this.key, id);
    }
  }

  /** @param {Buffer} chunk */
  async #spread(chunk) {
    for (let rest = chunk; rest.length > 0; ) {
      if (this.buffer && this.filled === this.buffer.length) {
        await this.#send();
      }
      this.buffer ??= await this.#nextBuffer();
      const room = this.buffer.length - this.filled;
      this.filled += rest.copy(this.buffer, this.filled, 0, room);
      rest = rest.subarray(room);
    }
  }

  async #nextBuffer() {
    const buffer = await this.buffers.take(this, this.stop.signal);
    if (this.stop.signal.aborted) {
      this.buffers.giveBack(this, buffer);
      throw this.stop.signal.reason;
    }
    this.filled = 0;
    return buffer;
  }

  /** Has the filled part sent, and waits while there are many. */
  async #send() {
    if (this.sent === MOST_PARTS) {
      throw tooLarge(`a blob has at most ${MOST_PARTS * this.buffers.bytes} bytes. Split the layer into smaller ones`);
    }
    // Not ended by the signal: without its id it could not be dropped.
    this.begun ??= this.store.begin(this.key);
    const id = await this.begun;
    this.stop.signal.throwIfAborted();
    const index = this.sent++;
    const sending = this.#keep(async (content) => {
      const sent = await this.store.sendPart(this.key, id, index + 1, content, this.stop.signal);
      this.parts[index] = sent.part;
      return sent;
    });
    this.sending.add(sending);
    // The first failure stops the others, and what is told is that one.
    sending.then(() => this.sending.delete(sending), (error) => this.stop.abort(error));
    if (this.sending.size >= PARTS_SIDE_BY_SIDE) {
      await Promise.race(this.sending);
    }
  }

  /**
   * Hands what is in the buffer to `send`, and gives the buffer back after that.
   * @param {(content: Buffer) => Promise<{attempts: number}>} send
   */
  async #keep(send) {
    const { buffer } = this;
    this.buffer = undefined;
    let unread = false;
    try {
      const { attempts } = await send(buffer ? buffer.subarray(0, this.filled) : Buffer.alloc(0));
      unread = attempts === 1;
    } finally {
      // The socket of an attempt that failed may still hold on to it.
      if (buffer) {
        this.buffers.giveBack(this, unread ? buffer : undefined);
      }
    }
  }
}
