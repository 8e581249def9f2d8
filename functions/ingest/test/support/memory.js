// How much memory a process has had at most.
import { readFileSync } from 'node:fs';

/** @param {number} pid @returns {number} MB */
export function peakMegabytes(pid) {
  const found = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Math.round(Number(found?.[1]) / 1000);
}
