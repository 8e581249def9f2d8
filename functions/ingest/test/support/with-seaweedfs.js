// Runs a command with a SeaweedFS of its own as S3: node with-seaweedfs.js WEED COMMAND...
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const [weed, command, ...given] = process.argv.slice(2);
const HOST = '127.0.0.1';
const [accessKey, secretKey] = ['key', 'secret'];

/** @param {number} count */
async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, HOST));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => /** @type {import('node:net').AddressInfo} */ (server.address()).port);
  servers.forEach((server) => server.close());
  return ports;
}

/** @param {string} endpoint */
async function healthy(endpoint) {
  return fetch(`${endpoint}/healthz`).then((answer) => answer.ok, () => false);
}

/** Whether there is a place for objects; S3 answers before. @param {string} master */
async function hasVolumes(master) {
  return fetch(`${master}/dir/status`).then(async (answer) => /"DataNodes":\s*\[\s*\{/.test(await answer.text()), () => false);
}

const NAMES = ['s3.port', 's3.port.grpc', 'master.port', 'master.port.grpc', 'volume.port', 'volume.port.grpc', 'filer.port', 'filer.port.grpc'];

async function start() {
  const folder = mkdtempSync(join(tmpdir(), 'ingest-seaweedfs-'));
  const ports = await freePorts(NAMES.length);
  const actions = ['Admin', 'Read', 'Write', 'List', 'Tagging'];
  writeFileSync(join(folder, 's3.json'), JSON.stringify({ identities: [{ name: 'test', credentials: [{ accessKey, secretKey }], actions }] }));
  const options = {
    ip: HOST, 'ip.bind': HOST, dir: folder, filer: true, s3: true, 's3.config': 's3.json', 's3.port.iceberg': 0, 's3.port.lance': 0,
    'master.telemetry': false, 'master.volumeSizeLimitMB': 1024, 'volume.max': 0, 'volume.preStopSeconds': 0,
    'filer.localSocket': 'filer.sock', 's3.localSocket': 's3.sock',
    ...Object.fromEntries(NAMES.map((name, i) => [name, ports[i]])),
  };
  const server = spawn(resolve(weed), ['server', ...Object.entries(options).map(([name, value]) => `-${name}=${value}`)], { cwd: folder, stdio: 'ignore' });
  const stop = () => {
    server.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
    // It puts these where nobody can choose.
    for (const [part, port] of ['s3', 'master', 'volume', 'filer'].flatMap((part) => ports.map((port) => [part, port]))) {
      rmSync(`/tmp/seaweedfs-${part}-grpc-${port}.sock`, { force: true });
    }
  };
  const endpoint = `http://${HOST}:${ports[0]}`;
  for (let i = 0; i < 300 && server.exitCode === null; i++) {
    if (await healthy(endpoint) && await hasVolumes(`http://${HOST}:${ports[2]}`)) {
      return { endpoint, pid: server.pid, stop };
    }
    await sleep(100);
  }
  stop();
  return undefined;
}

// Somebody may take a port between its choice and its use.
const server = (await start()) ?? (await start()) ?? (await start());
if (!server) {
  throw new Error('SeaweedFS did not start');
}
const env = {
  ...process.env, S3_TEST_ENDPOINT: server.endpoint, S3_TEST_ACCESS_KEY: accessKey, S3_TEST_SECRET_KEY: secretKey, S3_TEST_PID: `${server.pid}`,
};
const [code] = await once(spawn(command, given, { env, stdio: 'inherit' }), 'exit');
server.stop();
process.exit(code ?? 1);
