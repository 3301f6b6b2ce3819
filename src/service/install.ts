/**
 * Puts the files of a service where the service manager looks, and takes them away again.
 *
 * The second line of each says who wrote it, with a hash of the rest: a file that somebody else has written, or has changed
 * since, is neither overwritten nor removed without being told.
 */

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { VnicError } from '../base/index.ts';
import { initScript } from './init-script.ts';
import type { ServiceFileOptions } from './service-files.ts';
import { systemdUnit } from './systemd-unit.ts';

/** Who starts and stops services: systemd(1), or init scripts. */
export type ServiceManager = 'systemd' | 'init';

/** Name of the unit and of the script. */
export const SERVICE_NAME: string = 'vnic';

/** What is installed. */
export interface InstalledService {
  readonly manager: ServiceManager;
  /** Of the unit or the script, below the root folder. */
  readonly path: string;
  /** Not as vnic wrote it. */
  readonly edited: boolean;
  /** The configuration file that it keeps; undefined where the file does not tell. */
  readonly config: string | undefined;
}

/** Which machine, and how. */
export interface InstallOptions {
  /** Root folder of the image that it is installed into. Default `/`. */
  readonly root?: string;
  /** Default `detectManager(root)`. */
  readonly manager?: ServiceManager;
  /** Overwrite or remove what vnic did not write. Default false. */
  readonly force?: boolean;
}

const SCRIPT_MODE = 0o755;
const UNIT_MODE = 0o644;

/** Which manager a machine has: of the running one what runs, of an image what lies there. */
export function detectManager(root = '/'): ServiceManager {
  const signs = root === '/' ? ['run/systemd/system'] : ['usr/lib/systemd/systemd', 'lib/systemd/systemd'];
  return signs.some((sign) => existsSync(join(root, sign))) ? 'systemd' : 'init';
}

/**
 * Writes the unit or the script.
 * @returns its path, and whether it was there already just so
 * @throws VNIC_SERVICE_FILE for one that vnic did not write or that was changed; VNIC_NO_PRIVILEGE, VNIC_SYSTEM_CALL
 */
export function installService(
  service: ServiceFileOptions,
  options: InstallOptions = {},
): { readonly manager: ServiceManager; readonly path: string; readonly unchanged: boolean } {
  const { root = '/', manager = detectManager(root), force = false } = options;
  const path = servicePath(manager, root);
  const text = signed(manager === 'systemd' ? systemdUnit(service) : initScript(service), service.config);
  const found = readText(path);
  if (found === text) return { manager, path, unchanged: true };
  if (found !== undefined && !force && !isUntouched(found)) throw foreignFile('write', path);
  withFiles(`write ${path}`, () => {
    mkdirSync(dirname(path), { recursive: true });
    // Complete before it has its name.
    writeFileSync(`${path}.new`, text, { mode: manager === 'systemd' ? UNIT_MODE : SCRIPT_MODE });
    renameSync(`${path}.new`, path);
  });
  return { manager, path, unchanged: false };
}

/**
 * Removes the unit or the script.
 * @returns its path; undefined when there was none
 * @throws VNIC_SERVICE_FILE, VNIC_NO_PRIVILEGE, VNIC_SYSTEM_CALL
 */
export function uninstallService(options: InstallOptions = {}): string | undefined {
  const { root = '/', manager = detectManager(root), force = false } = options;
  const path = servicePath(manager, root);
  const found = readText(path);
  if (found === undefined) return undefined;
  if (!force && !isUntouched(found)) throw foreignFile('remove', path);
  withFiles(`remove ${path}`, () => unlinkSync(path));
  return path;
}

/** What is installed; undefined when nothing is. */
export function installedService(options: InstallOptions = {}): InstalledService | undefined {
  const { root = '/', manager = detectManager(root) } = options;
  const path = servicePath(manager, root);
  const text = readText(path);
  if (text === undefined) return undefined;
  return { manager, path, edited: !isUntouched(text), config: signatureOf(text)?.config };
}

function servicePath(manager: ServiceManager, root: string): string {
  const path = manager === 'systemd' ? `etc/systemd/system/${SERVICE_NAME}.service` : `etc/init.d/${SERVICE_NAME}`;
  return join(root, path);
}

const SIGNATURE = /^# written by `vnic service install`: (\{.*\})$/m;

interface Signature {
  readonly config: string;
  readonly sha256: string;
}

/** With the signature as second line, which leaves the first to `#!`. */
function signed(text: string, config: string): string {
  const [first = '', ...rest] = text.split('\n');
  const signature: Signature = { config, sha256: hashOf(text) };
  return [first, `# written by \`vnic service install\`: ${JSON.stringify(signature)}`, ...rest].join('\n');
}

function signatureOf(text: string): Signature | undefined {
  try {
    return JSON.parse(SIGNATURE.exec(text)?.[1] ?? '') as Signature;
  } catch {
    return undefined;
  }
}

function isUntouched(text: string): boolean {
  const rest = text.replace(new RegExp(`${SIGNATURE.source}\\n`, 'm'), '');
  return signatureOf(text)?.sha256 === hashOf(rest);
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function foreignFile(verb: string, path: string): VnicError {
  return new VnicError('VNIC_SERVICE_FILE', {
    attempted: `${verb} ${path}`,
    hint: 'Look at what it has, and say --force; changes of your own are better kept by `systemctl edit vnic`.',
  });
}

function withFiles(attempted: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    const { code: errno = 'EIO', syscall = 'open' } = error as NodeJS.ErrnoException;
    const isForbidden = errno === 'EACCES' || errno === 'EPERM';
    throw new VnicError(isForbidden ? 'VNIC_NO_PRIVILEGE' : 'VNIC_SYSTEM_CALL', {
      attempted,
      reason: isForbidden ? 'this user may not' : `the file system said ${errno}`,
      hint: isForbidden ? 'Run it with `sudo`.' : 'Make room, or choose another --root.',
      errno,
      syscall,
      cause: error,
    });
  }
}
