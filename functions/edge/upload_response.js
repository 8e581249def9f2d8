// Viewer response of /v2/*/blobs/uploads/_direct/*: S3's 200 becomes the 201 of a stored blob.
//
// It is not run when S3 refuses. The request that it is shown may be the client's or the rewritten one, so
// where the blob is to be found is taken from either.

var UPLOAD = /^\/v2\/(.+)\/blobs\/uploads\/_direct\//;
var DIGEST = /sha256(?::|%3[Aa])([0-9a-f]{64})$/;

function handler(event) {
  var response = event.response;
  if (response.statusCode !== 200) {
    return response;
  }
  var headers = response.headers;
  Object.keys(headers).forEach(function (name) {
    var ours = name.indexOf('x-amz-cf-') === 0;
    if (name === 'etag' || name === 'server' || (name.indexOf('x-amz-') === 0 && !ours)) {
      delete headers[name];
    }
  });
  response.statusCode = 201;
  response.statusDescription = 'Created';
  var location = locationIn(event.request);
  if (location) {
    headers['location'] = { value: location };
    headers['docker-content-digest'] = { value: 'sha256:' + DIGEST.exec(location)[1] };
  }
  return response;
}

function locationIn(request) {
  var upload = UPLOAD.exec(request.uri);
  var query = request.querystring || {};
  var digest = DIGEST.exec(query.digest ? query.digest.value : '');
  if (upload && digest) {
    return '/v2/' + upload[1] + '/blobs/sha256:' + digest[1];
  }
  var noted = request.headers['x-moorage-location'];
  return noted && DIGEST.test(noted.value) ? noted.value : undefined;
}
