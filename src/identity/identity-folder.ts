/** The folder of this machine's own identity and of those that it trusts. */

import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readdirSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

import { createIdentity, type Identity, readOwnIdentity, unreadable } from './identity.ts';

const IDENTITY_FILE = 'identity.pem';
/** A draft that is older was left by a process that was killed. */
const DRAFT_LASTS_MS = 60_000;

/**
 * Where it is: `VNIC_IDENTITY_DIRECTORY`, else `/etc/vnic` for root, else `vnic` in `XDG_CONFIG_HOME` or `~/.config`. It is made
 * when something is written.
 */
export function identityFolder(env: NodeJS.ProcessEnv = process.env): string {
  const given = env['VNIC_IDENTITY_DIRECTORY'];
  if (given) return resolve(given);
  if (process.getuid?.() === 0) return '/etc/vnic';
  const config = env['XDG_CONFIG_HOME'];
  return join(config?.startsWith('/') ? config : join(homedir(), '.config'), 'vnic');
}

/** The path of the identity in its folder. */
export function identityPath(folder: string = identityFolder()): string {
  return join(folder, IDENTITY_FILE);
}

/** The identity of a folder, or undefined as long as there is none. @throws VNIC_IDENTITY */
export function findIdentity(folder: string = identityFolder()): Identity | undefined {
  try {
    return readOwnIdentity(identityPath(folder));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * The identity of a folder, made on first use: a file for its owner alone, key and certificate. Of two processes that begin at once
 * both get the same.
 * @throws VNIC_IDENTITY when it cannot be read or made, or others may read the key
 */
export function loadIdentity(folder: string = identityFolder()): Identity {
  const found = findIdentity(folder);
  if (found !== undefined) return found;
  const path = identityPath(folder);
  const { certificatePem, keyPem } = createIdentity();
  try {
    makeFolder(folder);
    const draft = join(folder, `.${IDENTITY_FILE}.${randomBytes(6).toString('hex')}`);
    try {
      writeFileSync(draft, certificatePem + keyPem, { flag: 'wx', mode: 0o600, flush: true });
      publish(draft, path);
    } finally {
      unlinkIfThere(draft);
    }
    sweep(folder);
  } catch (cause) {
    throw unreadable(path, cause);
  }
  return readOwnIdentity(path);
}

/** Makes the folder, for its owner alone. One that exists is left as it is: `/etc/vnic` may hold more than secrets. */
export function makeFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
}

/** Whole or not at all, and never over one that is there. */
function publish(draft: string, path: string): void {
  try {
    linkSync(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

function sweep(folder: string): void {
  const drafts = readdirSync(folder).filter((name) => /^\.identity\.pem\.[0-9a-f]{12}$/.test(name));
  for (const path of drafts.map((name) => join(folder, name))) {
    const sinceMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
    if (sinceMs !== undefined && Date.now() - sinceMs > DRAFT_LASTS_MS) unlinkIfThere(path);
  }
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
