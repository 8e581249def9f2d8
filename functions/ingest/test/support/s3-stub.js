// As much of S3 as ingest and its tests use, with faults to order. Checksums are verified like S3 does.
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from 'node:zlib';

/**
 * @typedef {object} Fault
 * @property {string} operation
 * @property {number} [status] - answered instead; without one the connection is cut
 * @property {number} [delay] - milliseconds before the answer
 * @property {number} [times]
 * @property {number} [after] - as many requests of the operation pass before
 */

/** @param {{discard?: boolean}} [options] - whether only sizes are kept */
export async function startS3({ discard = false } = {}) {
  /** @type {Map<string, Buffer>} By bucket and key. */
  const objects = new Map();
  /** @type {Map<string, {place: string, parts: Map<number, {content: Buffer, size: number, etag: string}>}>} */
  const uploads = new Map();
  /** @type {Fault[]} */
  let faults = [];
  /** @type {Record<string, number>} */
  const calls = {};

  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '', 'http://s3');
    const [bucket, key] = [url.pathname.split('/')[1], decodeURIComponent(url.pathname.split('/').slice(2).join('/'))];
    const place = `${bucket}/${key}`;
    const query = url.searchParams;
    const operation = nameOf(request.method ?? '', query, key);
    const count = (calls[operation] = (calls[operation] ?? 0) + 1);
    const fault = faults.find((one) => one.operation === operation && count > (one.after ?? 0) && (one.times ?? 1) > 0);
    if (fault && fault.status === undefined && !fault.delay) {
      fault.times = (fault.times ?? 1) - 1;
      request.socket.destroy();
      return;
    }
    const body = await read(request, discard && operation !== 'complete');
    if (!body) {
      return;
    }
    if (fault) {
      fault.times = (fault.times ?? 1) - 1;
      await sleep(fault.delay ?? 0);
      if (fault.status) {
        return answer(response, fault.status, error('SlowDown'));
      }
    }
    if (!body.intact) {
      return answer(response, 400, error('BadDigest'));
    }
    const upload = uploads.get(query.get('uploadId') ?? '');
    if (query.has('uploadId') && upload?.place !== place) {
      return answer(response, 404, error('NoSuchUpload'));
    }
    switch (operation) {
      case 'put':
        objects.set(place, body.content);
        return answer(response, 200, '', { etag: `"${body.etag}"` });
      case 'begin': {
        const id = randomBytes(8).toString('hex');
        uploads.set(id, { place, parts: new Map() });
        return answer(response, 200, xml('InitiateMultipartUploadResult', `<UploadId>${id}</UploadId>`));
      }
      case 'part':
        upload?.parts.set(Number(query.get('partNumber')), body);
        return answer(response, 200, '', { etag: `"${body.etag}"` });
      case 'complete': {
        const parts = [...body.content.toString().matchAll(/<PartNumber>(\d+)/g)].map(([, n]) => upload?.parts.get(Number(n)));
        if (parts.some((part, i) => !part || (i < parts.length - 1 && part.size < 5 * 1024 * 1024))) {
          return answer(response, 400, error('InvalidPart'));
        }
        objects.set(place, Buffer.concat(parts.map((part) => part?.content ?? Buffer.alloc(0))));
        uploads.delete(query.get('uploadId') ?? '');
        return answer(response, 200, xml('CompleteMultipartUploadResult', `<Key>${key}</Key>`));
      }
      case 'abort':
        uploads.delete(query.get('uploadId') ?? '');
        return answer(response, 204, '');
      case 'list': {
        const found = [...objects].filter(([name]) => name.startsWith(place + (query.get('prefix') ?? '')));
        const rows = found.map(([name, content]) => `<Contents><Key>${name.slice(place.length)}</Key><Size>${content.length}</Size></Contents>`);
        return answer(response, 200, xml('ListBucketResult', rows.join('')));
      }
      case 'uploads': {
        const found = [...uploads].filter(([, { place: name }]) => name.startsWith(place));
        const rows = found.map(([id, { place: name }]) => `<Upload><Key>${name.slice(place.length)}</Key><UploadId>${id}</UploadId></Upload>`);
        return answer(response, 200, xml('ListMultipartUploadsResult', rows.join('')));
      }
      case 'get':
        return answer(response, objects.has(place) ? 200 : 404, objects.get(place) ?? error('NoSuchKey'));
      default:
        return answer(response, 501, error('NotImplemented'));
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    url: `http://127.0.0.1:${port}`,
    calls,
    /** @param {Fault[]} ordered */
    order(...ordered) {
      for (const operation of Object.keys(calls)) {
        delete calls[operation];
      }
      faults = ordered;
    },
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** @param {string} method @param {URLSearchParams} query @param {string} key */
function nameOf(method, query, key) {
  const names = {
    PUT: query.has('partNumber') ? 'part' : 'put',
    POST: query.has('uploads') ? 'begin' : 'complete',
    DELETE: 'abort',
    GET: key ? 'get' : query.has('uploads') ? 'uploads' : 'list',
  };
  return names[/** @type {keyof typeof names} */ (method)] ?? 'unknown';
}

/** @param {import('node:http').IncomingMessage} request @param {boolean} discard */
async function read(request, discard) {
  const chunks = [];
  const sha256 = createHash('sha256');
  const [given256, given32] = ['sha256', 'crc32'].map((name) => request.headers[`x-amz-checksum-${name}`]);
  let crc = 0;
  let size = 0;
  try {
    for await (const chunk of request) {
      size += chunk.length;
      if (!discard) {
        chunks.push(chunk);
      }
      if (given256) {
        sha256.update(chunk);
      }
      if (given32) {
        crc = crc32(chunk, crc);
      }
    }
  } catch {
    return undefined;
  }
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc);
  const intact =
    (!given256 || given256 === sha256.digest('base64')) && (!given32 || given32 === bytes.toString('base64'));
  return { content: Buffer.concat(chunks), size, etag: `${crc}`, intact };
}

/** @param {import('node:http').ServerResponse} response @param {number} status @param {string | Buffer} body @param {object} [headers] */
function answer(response, status, body, headers = {}) {
  response.writeHead(status, { 'Content-Length': Buffer.byteLength(body), ...headers }).end(body);
}

/** @param {string} name @param {string} inner */
function xml(name, inner) {
  return `<?xml version="1.0" encoding="UTF-8"?><${name}>${inner}</${name}>`;
}

/** @param {string} code */
function error(code) {
  return xml('Error', `<Code>${code}</Code><Message>ordered</Message>`);
}
