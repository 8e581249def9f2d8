// What clients say about the body: its digest, and where in the blob it belongs.
import { Refusal } from './refusal.js';

const DIGEST = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;
const RANGE = /^([0-9]{1,15})-([0-9]{1,15})$/;
const LENGTH = /^[0-9]{1,15}$/;

/**
 * The digest in a query.
 * @param {string} query
 * @throws {Refusal} unless there is exactly one, well formed.
 */
export function digestIn(query) {
  const given = new URLSearchParams(query).getAll('digest');
  if (given.length !== 1 || !DIGEST.test(given[0])) {
    throw new Refusal(400, 'DIGEST_INVALID', 'give the digest once, as ?digest=sha256: and 64 lower-case hexadecimal digits');
  }
  return given[0];
}

/**
 * The size that a first chunk's Content-Range announces; undefined without one.
 * @param {import('node:http').IncomingMessage} request
 * @param {string} location - where to begin again
 * @throws {Refusal} it is malformed, no first chunk, or not as long as the body says it is.
 */
export function announcedSize(request, location) {
  const text = request.headers['content-range'];
  if (text === undefined) {
    return undefined;
  }
  const found = RANGE.exec(text.trim());
  if (!found || Number(found[2]) < Number(found[1])) {
    throw new Refusal(400, 'BLOB_UPLOAD_INVALID', 'Content-Range of a chunk has the form FIRST-LAST, without a unit');
  }
  if (Number(found[1]) !== 0) {
    throw new Refusal(416, 'BLOB_UPLOAD_INVALID', 'the next byte of this upload is 0', { Location: location, Range: '0-0' });
  }
  const size = Number(found[2]) + 1;
  const length = announcedLength(request);
  if (length !== undefined) {
    requireSize(length, size);
  }
  return size;
}

/** Content-Length; undefined without one. @param {import('node:http').IncomingMessage} request */
export function announcedLength(request) {
  const text = request.headers['content-length'];
  return text !== undefined && LENGTH.test(text) ? Number(text) : undefined;
}

/** @param {number} size @param {number} announced @throws {Refusal} they differ. */
export function requireSize(size, announced) {
  if (size !== announced) {
    throw new Refusal(400, 'SIZE_INVALID', `Content-Range announces ${announced} bytes; the body has another length`);
  }
}
