// The keys that paths are signed with: the newest of each of two slots. Older ones have been replaced, perhaps
// because somebody knows them.

const SLOTS = ['a', 'b'];
// As long as the `registry` function holds the key that it signs with.
const HELD_MILLISECONDS = 5 * 60 * 1000;
// Anybody can invent kids that no slot has yet.
const PAUSE_MILLISECONDS = 5_000;

/** @typedef {{version: number, key: string}} Slot */
/** @typedef {Slot & {at: number}} HeldSlot */

export class KeyRing {
  /**
   * @param {(slot: string) => Promise<Slot | undefined>} read - undefined: the slot is empty
   * @param {() => number} [now] - milliseconds
   */
  constructor(read, now = Date.now) {
    this.read = read;
    this.now = now;
    /** @type {Map<string, HeldSlot>} */
    this.held = new Map();
    /** @type {Map<string, Promise<HeldSlot>>} */
    this.asked = new Map();
  }

  /**
   * @param {string} kid - a slot and a version
   * @returns {Promise<string | undefined>} undefined: it is no key, or not any more
   * @throws {import('./refusal.js').Refusal} that cannot be known at the moment.
   */
  async find(kid) {
    const [slot, version] = [kid.slice(0, 1), kid.slice(1)];
    if (!SLOTS.includes(slot)) {
      return undefined;
    }
    let held = this.held.get(slot);
    if (!held || this.#isOld(held, Number(version))) {
      held = await this.#ask(slot);
    }
    return held.version > 0 && `${held.version}` === version ? held.key : undefined;
  }

  /** @param {HeldSlot} held @param {number} version */
  #isOld(held, version) {
    return this.now() - held.at >= (version > held.version ? PAUSE_MILLISECONDS : HELD_MILLISECONDS);
  }

  /** Once for all who ask at the same time. @param {string} slot */
  #ask(slot) {
    let asked = this.asked.get(slot);
    if (!asked) {
      asked = this.#fetch(slot).finally(() => this.asked.delete(slot));
      this.asked.set(slot, asked);
    }
    return asked;
  }

  /** @param {string} slot @returns {Promise<HeldSlot>} */
  async #fetch(slot) {
    const found = (await this.read(slot)) ?? { version: 0, key: '' };
    const held = { ...found, at: this.now() };
    this.held.set(slot, held);
    return held;
  }
}
