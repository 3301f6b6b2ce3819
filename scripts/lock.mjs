/** A lock among processes of this machine, as a file that names its holder. */

import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { say } from './process.mjs';

/** Runs `work` while no other process holds `path`. A holder that has died does not count. */
export async function withLock(path, work) {
  mkdirSync(dirname(path), { recursive: true });
  const mine = `${path}.${process.pid}`;
  // Written first and linked afterwards: a lock without its holder's number cannot be seen.
  writeFileSync(mine, `${process.pid}`);
  try {
    for (let attempt = 0; !tryLink(mine, path); attempt++) {
      if (attempt === 0) say(`waiting for process ${readHolder(path)}, which is setting up`);
      await delay(100);
    }
  } finally {
    rmSync(mine, { force: true });
  }
  const release = () => rmSync(path, { force: true });
  process.once('exit', release);
  try {
    return await work();
  } finally {
    process.off('exit', release);
    release();
  }
}

function tryLink(mine, path) {
  try {
    linkSync(mine, path);
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
  const holder = readHolder(path);
  if (holder !== undefined && !isAlive(holder)) rmSync(path, { force: true });
  return false;
}

function readHolder(path) {
  try {
    return Number(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
