// Signed upload paths: the permission to send a blob (S), and the receipt for one that was sent (R).
//
//   S = /v2/<name>/blobs/uploads/_stream/[<store>/]<kid>/<expires>/<repository id>/<session>/<mac>
//   R = /v2/<name>/blobs/uploads/_received/<kid>/<expires>/<repository id>/<session>/<object>/<size>/<sha256>/<mac>
//
// The default store is not named in S. R names none: its session says which it is.
// A wire format that the registry writes and reads too: `test/vectors.json` holds it for both languages.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

/** @typedef {{v: number, kid: string, key: string}} UploadKey */
/**
 * @typedef {object} Permission
 * @property {string} path - as the client sent it, with its MAC
 * @property {string} signed - what the MAC covers
 * @property {string} uploads - the path of the repository's uploads, with a slash at the end
 * @property {string} store - where the blob is to be stored
 * @property {string} kid
 * @property {number} expires - seconds since 1970
 * @property {string} repositoryId
 * @property {string} session
 * @property {string} mac
 */

const DEFAULT_STORE = 'default';
const STREAM =
  /^((\/v2\/.+\/blobs\/uploads\/)_stream\/(?:([a-z][-a-z0-9]{0,62}[a-z0-9])\/)?([ab][0-9]{1,10})\/([0-9]{1,12})\/([0-9a-f]{32})\/([0-9a-f]{32}))\/([0-9a-f]{64})$/;
const BELOW = /^\/v2\/.+\/blobs\/uploads\/_stream(?:\/|$)/;
const RECEIPT_SECONDS = 2 * 60 * 60;

/**
 * Reads S; what it says is nobody's word before `isSigned` has said so.
 * @param {string} path
 * @returns {Permission | undefined}
 */
export function parsePermission(path) {
  const found = STREAM.exec(path);
  if (!found) {
    return undefined;
  }
  const [, signed, uploads, store = DEFAULT_STORE, kid, expires, repositoryId, session, mac] = found;
  return { path, signed, uploads, store, kid, expires: Number(expires), repositoryId, session, mac };
}

/** Whether a path means an upload of ours at all. @param {string} path */
export function isStreamPath(path) {
  return BELOW.test(path);
}

/** @param {Permission} permission @param {string} key - the text of the key with that kid */
export function isSigned(permission, key) {
  return same(mac(key, 'PATCH', permission.signed), permission.mac);
}

/**
 * Writes R, signed with the key that S was signed with.
 * @param {Permission} permission
 * @param {string} key
 * @param {{object: string, size: number, sha256: string}} stored
 * @param {number} now - seconds since 1970
 */
export function receipt(permission, key, stored, now) {
  const expires = Math.max(Math.floor(now) + RECEIPT_SECONDS, permission.expires);
  const signed =
    `${permission.uploads}_received/${permission.kid}/${expires}/${permission.repositoryId}/` +
    `${permission.session}/${stored.object}/${stored.size}/${stored.sha256}`;
  return `${signed}/${mac(key, 'RECEIPT', signed)}`;
}

/**
 * Where the object of a receipt lies.
 * @param {Permission} permission
 * @param {string} object - `s-` and 32 digits: streamed; `c-` and 16: a first chunk
 */
export function objectKey({ repositoryId, session }, object) {
  const name = object.slice(2);
  return object.startsWith('c-')
    ? `chunks/${repositoryId}/${session}/000000000000-${name}`
    : `stream/${session.slice(0, 2)}/${repositoryId}/${session}/${name}`;
}

/** @param {string} key @param {'PATCH' | 'RECEIPT'} purpose @param {string} path */
function mac(key, purpose, path) {
  return createHmac('sha256', key).update(`${purpose}\n${path}`).digest('hex');
}

/** Takes as long wherever the texts differ, and whatever their lengths. @param {string} one @param {string} other */
export function same(one, other) {
  const [a, b] = [one, other].map((text) => createHash('sha256').update(text).digest());
  return timingSafeEqual(a, b);
}
