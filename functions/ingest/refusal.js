// What a client is told when its request is not carried out.

/** An error whose words are meant for the client. */
export class Refusal extends Error {
  /**
   * @param {number} status
   * @param {string} code - of the OCI distribution specification
   * @param {string} message
   * @param {Record<string, string>} [headers]
   */
  constructor(status, code, message, headers = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }

  /** The body of the answer. */
  get body() {
    return errorBody(this.code, this.message);
  }
}

/** @param {string} code @param {string} message */
export function errorBody(code, message) {
  return JSON.stringify({ errors: [{ code, message }] });
}

/** Somebody that the request needs does not answer. @param {string} message */
export function unavailable(message) {
  return new Refusal(503, 'TOOMANYREQUESTS', message, { 'Retry-After': '2' });
}

export function unknownUpload() {
  return new Refusal(404, 'BLOB_UPLOAD_UNKNOWN', 'there is no such upload; start another one');
}

/** @param {string} message */
export function tooLarge(message) {
  // Not SIZE_INVALID, after which docker's classic engine repeats a push for a minute.
  return new Refusal(413, 'UNSUPPORTED', message);
}

/** The client left: nobody is there to be told. */
export class ClientGone extends Error {}
