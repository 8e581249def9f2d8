// A request's body: read as fast as it is taken, given up when it stops, and drained where it is not wanted.
import { ClientGone, Refusal } from './refusal.js';

export class RequestBody {
  /**
   * @param {import('node:http').IncomingMessage} request
   * @param {AbortSignal} signal - ends all reading
   * @param {{idleMilliseconds: number}} limits
   */
  constructor(request, signal, { idleMilliseconds }) {
    this.request = request;
    this.signal = signal;
    this.idleMilliseconds = idleMilliseconds;
    /** How many bytes have come in. */
    this.size = 0;
  }

  /**
   * Hands over all of the body. Where `take` answers with a promise, the client waits for it.
   * @param {(chunk: Buffer) => void | Promise<void>} take
   * @throws {ClientGone} it ended before its end. @throws {Refusal} it stopped. Also what `take` throws.
   */
  consume(take) {
    return this.#read(take, this.idleMilliseconds, () =>
      new Refusal(408, 'BLOB_UPLOAD_INVALID', 'the body stopped; start the upload again'));
  }

  /**
   * Reads what is left and drops it: who sends does not listen for an answer before the end.
   * @param {{bytes: number, milliseconds: number}} limits
   * @returns {Promise<boolean>} whether the end was reached
   */
  async drain({ bytes, milliseconds }) {
    const enough = new Error('enough');
    const deadline = Date.now() + milliseconds;
    let dropped = 0;
    try {
      await this.#read((chunk) => {
        dropped += chunk.length;
        if (dropped > bytes || Date.now() > deadline) {
          throw enough;
        }
      }, Math.min(milliseconds, this.idleMilliseconds), () => enough);
      return true;
    } catch (error) {
      if (error instanceof ClientGone) {
        throw error;
      }
      return false;
    }
  }

  /**
   * @param {(chunk: Buffer) => void | Promise<void>} take
   * @param {number} idleMilliseconds
   * @param {() => Error} idle
   * @returns {Promise<void>}
   */
  #read(take, idleMilliseconds, idle) {
    const { request, signal } = this;
    return new Promise((resolve, reject) => {
      const patience = () => setTimeout(() => end(idle()), idleMilliseconds);
      let timer = patience();
      let [done, over, waiting] = [false, false, false];
      /** @param {unknown} [error] */
      const end = (error) => {
        if (done) {
          return;
        }
        done = true;
        clearTimeout(timer);
        request.off('data', data).off('end', finished).off('close', gone).pause();
        signal.removeEventListener('abort', stopped);
        error === undefined ? resolve() : reject(error);
      };
      const stopped = () => end(signal.reason);
      const gone = () => over || end(new ClientGone());
      // Its end may come while its last bytes still wait to be taken.
      const finished = () => {
        over = request.complete;
        if (!over || !waiting) {
          end(over ? undefined : new ClientGone());
        }
      };
      const goOn = () => {
        waiting = false;
        if (over) {
          end();
        } else if (!done) {
          timer = patience();
          request.resume();
        }
      };
      /** @param {Buffer} chunk */
      const data = (chunk) => {
        this.size += chunk.length;
        timer.refresh();
        try {
          const wait = take(chunk);
          if (wait) {
            waiting = true;
            request.pause();
            clearTimeout(timer);
            wait.then(goOn, end);
          }
        } catch (error) {
          end(error);
        }
      };
      if (signal.aborted) {
        stopped();
      } else if (request.readableEnded) {
        finished();
      } else if (request.destroyed) {
        gone();
      } else {
        signal.addEventListener('abort', stopped, { once: true });
        request.on('data', data).on('end', finished).on('close', gone).resume();
      }
    });
  }
}
