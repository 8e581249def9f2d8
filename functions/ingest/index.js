// Entry point: puts the parts together, listens, and ends when it is told to.
import { setFlagsFromString } from 'node:v8';
import { App } from './app.js';
import { KeyRing } from './keys.js';
import * as log from './log.js';
import { connectStores } from './object-store.js';
import { PartBuffers } from './part-buffers.js';
import { connectRegistry } from './registry.js';
import { createIngest } from './server.js';
import { readSettings } from './settings.js';
import { connectKeys } from './ssm.js';
import { Ways } from './ways.js';

// What sockets bring counts as growth of a heap that is small: by default all of it is searched after a few megabytes
// each, which takes a third of the processor's time. NODE_OPTIONS does not take this one.
setFlagsFromString('--heap-growing-percent=200');

const settings = readSettings(process.env);
log.setLevel(settings.logLevel);

const buffers = new PartBuffers(settings.buffers);
const ways = new Ways(connectStores(settings.stores), buffers, connectRegistry(settings.registryUrl));
const app = new App(settings.frontDoor, new KeyRing(connectKeys(settings.keyPrefix)), ways, settings.limits);
const { server, stop } = createIngest(app, settings.limits);

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, async () => {
    await stop();
    process.exit(0);
  });
}

const { host, port } = settings.listen;
server.listen(port, host, () => {
  const address = server.address();
  log.info('listening', { port: typeof address === 'object' ? address?.port : port });
});
