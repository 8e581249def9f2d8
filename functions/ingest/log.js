// One JSON object a line, as the other functions write them. Nobody passes a path, a key or a token in here.

const LEVELS = ['DEBUG', 'INFO', 'WARNING', 'ERROR'];
let threshold = 1;

/** @param {string} level */
export function setLevel(level) {
  const index = LEVELS.indexOf(level.toUpperCase());
  threshold = index < 0 ? 1 : index;
}

/** @param {string} message @param {Record<string, unknown>} [fields] */
export const info = (message, fields) => write(1, message, fields);
/** @param {string} message @param {Record<string, unknown>} [fields] */
export const warning = (message, fields) => write(2, message, fields);
/** @param {string} message @param {Record<string, unknown>} [fields] */
export const error = (message, fields) => write(3, message, fields);

/** @param {number} level @param {string} message @param {Record<string, unknown>} [fields] */
function write(level, message, fields) {
  if (level >= threshold) {
    const line = { level: LEVELS[level], message, timestamp: new Date().toISOString(), service: 'ingest', ...fields };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  }
}
