// The memory of all uploads: a fixed number of buffers, each as large as one part.
//
// An upload fills one buffer at a time and sends full ones side by side. Who waits for a buffer while holding
// the fewest comes first, so that nobody is left behind by another's parallel parts. There is no deadlock: a
// buffer in use waits for its client, which must not stop, or for the store, never for another buffer.
import { unavailable } from './refusal.js';

// Where that many clients are that slow, another environment serves better.
const WAIT_MILLISECONDS = 60_000;

/**
 * @typedef {object} Waiter
 * @property {object} owner
 * @property {(buffer: Buffer) => void} give
 */

export class PartBuffers {
  /** @param {{count: number, bytes: number, waitMilliseconds?: number}} size */
  constructor({ count, bytes, waitMilliseconds = WAIT_MILLISECONDS }) {
    this.bytes = bytes;
    this.waitMilliseconds = waitMilliseconds;
    this.free = count;
    /** @type {Buffer[]} Given back; the last one first, whose pages are in memory. */
    this.idle = [];
    /** @type {Map<object, number>} */
    this.held = new Map();
    /** @type {Waiter[]} */
    this.waiting = [];
  }

  /**
   * A buffer for `owner`, with anything in it.
   * @param {object} owner
   * @param {AbortSignal} signal - ends the wait
   * @returns {Buffer | Promise<Buffer>}
   * @throws {import('./refusal.js').Refusal} nobody gave one back in time. Also the signal's reason.
   */
  take(owner, signal) {
    if (this.free > 0) {
      return this.#give(owner);
    }
    return new Promise((resolve, reject) => {
      const over = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', stop);
      };
      /** @type {Waiter} */
      const waiter = { owner, give: (buffer) => (over(), resolve(buffer)) };
      /** @param {unknown} reason */
      const leave = (reason) => {
        over();
        this.waiting = this.waiting.filter((other) => other !== waiter);
        reject(reason);
      };
      const stop = () => leave(signal.reason);
      const timer = setTimeout(() => leave(unavailable('the registry is busy; try again')), this.waitMilliseconds);
      signal.addEventListener('abort', stop, { once: true });
      this.waiting.push(waiter);
    });
  }

  /**
   * @param {object} owner
   * @param {Buffer | undefined} buffer - undefined: a socket may still read from it, so it is not used again
   */
  giveBack(owner, buffer) {
    const held = this.#heldBy(owner) - 1;
    held ? this.held.set(owner, held) : this.held.delete(owner);
    this.free += 1;
    if (buffer) {
      this.idle.push(buffer);
    }
    const next = this.#next();
    next?.give(this.#give(next.owner));
  }

  #next() {
    const fewest = Math.min(...this.waiting.map((waiter) => this.#heldBy(waiter.owner)));
    const index = this.waiting.findIndex((waiter) => this.#heldBy(waiter.owner) === fewest);
    return index < 0 ? undefined : this.waiting.splice(index, 1)[0];
  }

  /** @param {object} owner */
  #give(owner) {
    this.free -= 1;
    this.held.set(owner, this.#heldBy(owner) + 1);
    // Pages that are never written to cost nothing.
    return this.idle.pop() ?? Buffer.allocUnsafeSlow(this.bytes);
  }

  /** @param {object} owner */
  #heldBy(owner) {
    return this.held.get(owner) ?? 0;
  }
}
