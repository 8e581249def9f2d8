// Viewer request of everything that goes to the API or to ingest: notes the host that the client named, which those do
// not get to see otherwise, and drops what only this distribution may say.
//
// What is too long for the API is refused here, where its length is known: the API's own refusal is one that clients
// cannot read, and comes after they have sent all of it.

var UPLOAD = /^\/v2\/.+\/blobs\/uploads\/(?!_stream\/)/;
var MOST = 4500000;

function handler(event) {
  var request = event.request;
  var headers = request.headers;
  var length = headers['content-length'] ? Number(headers['content-length'].value) : 0;
  if (length > MOST && UPLOAD.test(request.uri)) {
    return tooLarge(length);
  }
  delete headers['x-moorage-host'];
  delete headers['x-moorage-front-door'];
  if (headers.host) {
    headers['x-moorage-host'] = { value: headers.host.value };
  }
  return request;
}

function tooLarge(length) {
  var message = 'one request carries at most ' + MOST + ' bytes; this body has ' + length + '. Larger layers go straight ' +
    'to the store: let docker keep its images in the containerd store, or push with docker buildx build --push, or upload ' +
    'with presigned URLs. Or send the blob in chunks with Content-Range';
  return {
    statusCode: 413,
    statusDescription: 'Content Too Large',
    headers: { 'content-type': { value: 'application/json' } },
    body: { encoding: 'text', data: JSON.stringify({ errors: [{ code: 'UNSUPPORTED', message: message }] }) }
  };
}
