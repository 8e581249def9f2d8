// Viewer request of /v2/*/blobs/uploads/_direct/*: turns the PUT of a whole blob into a PUT of an S3 object.
//
// The path carries its own permission, a MAC over the method and all of the path before it. S3 compares the
// body with the digest, because the digest becomes its checksum header. Written in the subset of the language
// that older engines take too: no destructuring, no for...of, no spread.
import crypto from 'crypto';
import cf from 'cloudfront';

var SIGNED = /^(\/v2\/(.+)\/blobs\/uploads\/_direct\/([ab][0-9]{1,10})\/([0-9]{1,12})\/([0-9a-f]{32})\/([0-9a-f]{32}))\/([0-9a-f]{64})$/;
var KEY = /^[0-9a-f]{64}$/;
var DIGEST = /^sha256:([0-9a-f]{64})$/;

async function handler(event) {
  var request = event.request;
  if (request.method !== 'PUT') {
    return refusal(405, 'Method Not Allowed', 'UNSUPPORTED',
      'this upload takes one PUT of the whole blob; start another upload for anything else',
      { allow: { value: 'PUT' } });
  }
  var parts = whole(SIGNED, request.uri);
  if (!parts) {
    return unknown();
  }
  var key;
  try {
    key = await keyNamed(parts[3]);
  } catch (error) {
    return refusal(503, 'Service Unavailable', 'TOOMANYREQUESTS',
      'the upload cannot be checked at the moment; try again', { 'retry-after': { value: '2' } });
  }
  if (key === undefined || !same(mac(key, 'PUT', parts[1]), parts[7])) {
    return unknown();
  }
  if (Date.now() >= Number(parts[4]) * 1000) {
    return refusal(404, 'Not Found', 'BLOB_UPLOAD_UNKNOWN', 'the upload has expired; start it again');
  }
  var hex = digestIn(request.rawQueryString() || '');
  if (hex === undefined) {
    return refusal(400, 'Bad Request', 'DIGEST_INVALID',
      'give the digest once, as ?digest=sha256: and 64 lower-case hexadecimal digits');
  }
  var headers = request.headers;
  Object.keys(headers).forEach(function (name) {
    if (name === 'authorization' || name === 'cookie' || name.indexOf('x-amz-') === 0) {
      delete headers[name];
    }
  });
  request.cookies = {};
  request.querystring = {};
  request.uri = '/direct/' + hex.slice(0, 2) + '/' + parts[5] + '/' + hex + '/' + parts[6];
  headers['x-amz-checksum-sha256'] = { value: Buffer.from(hex, 'hex').toString('base64') };
  headers['x-moorage-location'] = { value: '/v2/' + parts[2] + '/blobs/sha256:' + hex };
  return request;
}

// The key, undefined when there is none of that name. An absent key throws like any other failure.
async function keyNamed(kid) {
  var store = cf.kvs();
  var key;
  try {
    key = await store.get(kid);
  } catch (error) {
    if (await store.exists(kid)) {
      throw error;
    }
    return undefined;
  }
  if (!whole(KEY, key)) {
    throw new Error('the key is malformed');
  }
  return key;
}

// In this engine `$` also matches before a newline at the end.
function whole(pattern, text) {
  var found = pattern.exec(text);
  return found && found[0].length === text.length ? found : null;
}

function mac(key, method, path) {
  return crypto.createHmac('sha256', key).update(method + '\n' + path).digest('hex');
}

// Takes as long wherever the first difference is.
function same(one, other) {
  var difference = one.length ^ other.length;
  for (var i = 0; i < one.length; i++) {
    difference |= one.charCodeAt(i) ^ other.charCodeAt(i);
  }
  return difference === 0;
}

// The digest's digits, undefined unless there is exactly one digest, of SHA-256.
function digestIn(query) {
  var given = query.split('&').filter(function (pair) {
    return decoded(pair.split('=')[0]) === 'digest';
  });
  if (given.length !== 1) {
    return undefined;
  }
  var found = whole(DIGEST, decoded(given[0].slice(given[0].indexOf('=') + 1)));
  return found ? found[1] : undefined;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    return text;
  }
}

function unknown() {
  return refusal(404, 'Not Found', 'BLOB_UPLOAD_UNKNOWN', 'there is no such upload; start another one');
}

function refusal(status, description, code, message, headers) {
  var all = headers || {};
  all['content-type'] = { value: 'application/json' };
  return {
    statusCode: status,
    statusDescription: description,
    headers: all,
    body: { encoding: 'text', data: JSON.stringify({ errors: [{ code: code, message: message }] }) }
  };
}
