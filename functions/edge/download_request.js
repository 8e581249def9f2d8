// Viewer request of /v2/*/blobs/_edge/*: turns the GET of a blob into the GET of an S3 object.
//
// The path carries its own permission, a MAC over the method and all of the path before it. The object is looked for in
// the cache only after this has run, under the path that it leaves: so a signature is no part of what is cached, and
// nothing comes out of the cache without one. What is also used in upload_request.js stands in both, word by word.
//
// The key of a streamed object has no digest in it, so its path has one more component, which goes on as a header to
// the function that answers.
import crypto from 'crypto';
import cf from 'cloudfront';

var SIGNED = /^(\/v2\/.+\/blobs\/_edge\/([ab][0-9]{1,10})\/([0-9]{1,12})\/(?:((?:api|direct|presigned)\/[0-9a-f]{2}\/[0-9a-f]{32}\/(?:[0-9a-f]{64}){1,2}\/[0-9a-f]{32})|(stream\/[0-9a-f]{2}\/[0-9a-f]{32})\/((?:[0-9a-f]{64}){1,2})(\/[0-9a-f]{32}\/[0-9a-f]{32})))\/([0-9a-f]{64})$/;
var KEY = /^[0-9a-f]{64}$/;

async function handler(event) {
  var request = event.request;
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return refusal(405, 'Method Not Allowed', 'UNSUPPORTED', 'a blob can only be read here',
      { allow: { value: 'GET, HEAD' } });
  }
  var parts = whole(SIGNED, request.uri);
  if (!parts) {
    return unknown();
  }
  var key;
  try {
    key = await keyNamed(parts[2]);
  } catch (error) {
    return refusal(503, 'Service Unavailable', 'TOOMANYREQUESTS',
      'the download cannot be checked at the moment; try again', { 'retry-after': { value: '2' } });
  }
  if (key === undefined || !same(mac(key, 'GET', parts[1]), parts[8])) {
    return unknown();
  }
  if (Date.now() >= Number(parts[3]) * 1000) {
    return refusal(403, 'Forbidden', 'DENIED', 'the download has expired; ask the registry for the blob again');
  }
  var headers = request.headers;
  Object.keys(headers).forEach(function (name) {
    if (name === 'authorization' || name === 'cookie' || name === 'x-moorage-digest' || name.indexOf('x-amz-') === 0) {
      delete headers[name];
    }
  });
  request.cookies = {};
  request.querystring = {};
  request.uri = '/' + (parts[4] || parts[5] + parts[7]);
  if (parts[6]) {
    headers['x-moorage-digest'] = { value: parts[6] };
  }
  // It is part of what an object is cached under. No request that has not passed here can name it, on any other path
  // of the distribution.
  headers['x-moorage-signed'] = { value: 'download' };
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

function unknown() {
  return refusal(404, 'Not Found', 'BLOB_UNKNOWN', 'there is no such download; ask the registry for the blob again');
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
