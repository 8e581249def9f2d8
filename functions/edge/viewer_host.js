// Viewer request of everything that goes to the API: notes the host that the client named, which the API
// does not get to see otherwise, and drops what only this distribution may say.

function handler(event) {
  var headers = event.request.headers;
  delete headers['x-moorage-host'];
  delete headers['x-moorage-front-door'];
  if (headers.host) {
    headers['x-moorage-host'] = { value: headers.host.value };
  }
  return event.request;
}
