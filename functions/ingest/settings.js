// What the environment says.

const MIB = 1024 * 1024;

/** @param {NodeJS.ProcessEnv} env @throws {Error} something is missing or malformed. */
export function readSettings(env) {
  return {
    listen: endpoint(required(env, 'AWS_LAMBDA_HTTP_ENDPOINT')),
    frontDoor: required(env, 'ORIGIN_SECRET'),
    registryUrl: required(env, 'REGISTRY_URL'),
    keyPrefix: required(env, 'UPLOAD_KEY_PARAMETER_PREFIX').replace(/\/+$/, ''),
    logLevel: env.LOG_LEVEL ?? 'INFO',
    stores: {
      buckets: buckets(required(env, 'BUCKET_NAME'), env.STORES ?? ''),
      pathStyle: addressing(env.S3_ADDRESSING_STYLE || 'auto') === 'path',
      attemptMilliseconds: number(env, 'INGEST_STORE_SECONDS', 60) * 1000,
    },
    // 10,000 parts of that size are 84 GB. Five of them in flight keep 1 Gbit/s busy.
    buffers: { count: Math.max(1, Math.floor(number(env, 'INGEST_BUFFER_MIB', 40) / 8)), bytes: 8 * MIB },
    limits: {
      idleMilliseconds: number(env, 'INGEST_IDLE_SECONDS', 60) * 1000,
      // Of a client that may upload, and of anybody.
      drain: { bytes: number(env, 'INGEST_DRAIN_MIB', 1024) * MIB, milliseconds: number(env, 'INGEST_DRAIN_SECONDS', 30) * 1000 },
      drainUnproved: { bytes: 64 * MIB, milliseconds: 10_000 },
      shutdownMilliseconds: number(env, 'INGEST_SHUTDOWN_SECONDS', 4) * 1000,
    },
  };
}

/** @param {NodeJS.ProcessEnv} env @param {string} name */
function required(env, name) {
  const value = env[name];
  if (!value) {
    throw new Error(`${name} is not set`);
  }
  return value;
}

/** @param {NodeJS.ProcessEnv} env @param {string} name @param {number} otherwise */
function number(env, name, otherwise) {
  const value = env[name] === undefined ? otherwise : Number(env[name]);
  if (!(value > 0)) {
    throw new Error(`${name} is not a number above zero`);
  }
  return value;
}

/**
 * The bucket of each store by the store's name.
 * @param {string} bucket - of the default store
 * @param {string} others - `name=bucket` or `name=bucket@region`, with commas between them
 * @returns {Map<string, {bucket: string, region?: string}>}
 */
function buckets(bucket, others) {
  /** @type {Map<string, {bucket: string, region?: string}>} */
  const found = new Map([['default', { bucket }]]);
  for (const text of others === '' ? [] : others.split(',')) {
    const [, name, other, region] = /^([a-z][-a-z0-9]{0,62}[a-z0-9])=([^=@]+)(?:@([^=@]+))?$/.exec(text) ?? [];
    if (name === undefined || found.has(name)) {
      throw new Error('STORES is no list of name=bucket or name=bucket@region, or names a store twice');
    }
    found.set(name, { bucket: other, region });
  }
  return found;
}

/** @param {string} style */
function addressing(style) {
  if (!['auto', 'path', 'virtual'].includes(style)) {
    throw new Error('S3_ADDRESSING_STYLE is neither auto, path nor virtual');
  }
  return style;
}

/** @param {string} text - host:port */
function endpoint(text) {
  const { hostname, port } = new URL(/^[a-z]+:\/\//.test(text) ? text : `http://${text}`);
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 80) };
}
