// Viewer response of /v2/*/blobs/_edge/*: S3's answer, or the cache's, becomes that of a registry.
//
// It is not run when S3 refuses. The request that it is shown may be the client's or the rewritten one: the digest is
// taken from either.

var DIGEST = /\/([0-9a-f]{64}|[0-9a-f]{128})\/[0-9a-f]{32}(?:\/[0-9a-f]{32})?(?:\/[0-9a-f]{64})?$/;
// Whatever else S3 says is about S3, or was chosen by whoever stored the object.
var KEPT = ['accept-ranges', 'age', 'content-encoding', 'content-length', 'content-range', 'date', 'etag',
  'last-modified', 'transfer-encoding', 'via', 'warning'];

function handler(event) {
  var response = event.response;
  if ([200, 206, 304].indexOf(response.statusCode) < 0) {
    return response;
  }
  var headers = response.headers;
  Object.keys(headers).forEach(function (name) {
    if (KEPT.indexOf(name) < 0 && name.indexOf('x-amz-cf-') !== 0) {
      delete headers[name];
    }
  });
  var digest = digestOf(event.request);
  if (digest) {
    headers['docker-content-digest'] = { value: (digest.length === 128 ? 'sha512:' : 'sha256:') + digest };
  }
  // On the registry's own host name, no browser may take a blob for a page.
  headers['content-type'] = { value: 'application/octet-stream' };
  headers['x-content-type-options'] = { value: 'nosniff' };
  // Whoever keeps it would keep it under an address that nobody asks for again.
  headers['cache-control'] = { value: 'private, no-store' };
  return response;
}

function digestOf(request) {
  var found = DIGEST.exec(request.uri);
  if (found) {
    return found[1];
  }
  // Of a streamed object, whose key has none.
  var passed = request.headers['x-moorage-digest'];
  return passed && passed.value;
}
