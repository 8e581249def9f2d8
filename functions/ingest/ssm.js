// Upload keys where the `secrets` function stores them: one SSM parameter per slot, one version per key.
import { GetParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import * as log from './log.js';
import { unavailable } from './refusal.js';

const KEY = /^[0-9a-f]{64}$/;
const TIMEOUTS = { connectionTimeout: 2_000, requestTimeout: 3_000, throwOnRequestTimeout: true };

/**
 * Reads the newest key of a slot.
 * @param {string} prefix - of the parameters' names
 * @returns {(slot: string) => Promise<import('./keys.js').Slot | undefined>}
 */
export function connectKeys(prefix) {
  const client = new SSMClient({ maxAttempts: 3, requestHandler: TIMEOUTS });
  return async (slot) => {
    let parameter;
    try {
      const command = new GetParameterCommand({ Name: `${prefix}/${slot}`, WithDecryption: true });
      parameter = (await client.send(command)).Parameter;
    } catch (error) {
      const { name } = /** @type {Error} */ (error);
      if (name === 'ParameterNotFound') {
        return undefined;
      }
      log.warning('SSM failed', { error: name });
      throw unavailable('the upload cannot be checked at the moment; try again');
    }
    return { version: parameter?.Version ?? 0, key: keyIn(parameter?.Value, slot) };
  };
}

/**
 * @param {string | undefined} text @param {string} slot
 * @throws {import('./refusal.js').Refusal} something else is stored.
 */
export function keyIn(text, slot) {
  try {
    const { v, kid, key } = JSON.parse(text ?? '');
    if (v === 1 && kid === slot && KEY.test(key)) {
      return /** @type {string} */ (key);
    }
  } catch {
    // Without its cause, which would show what is stored.
  }
  log.error('what is stored is no upload key', { slot });
  throw unavailable('the upload cannot be checked at the moment; try again');
}
