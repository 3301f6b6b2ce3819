/**
 * Where the journal lives: a folder of files in memory (`/run`, `$XDG_RUNTIME_DIR`), which is gone after a power cut or
 * a reboot together with everything that the journal speaks of. So nothing needs `fsync`: a page that was written
 * survives the process, and what does not survive the kernel is not needed after it.
 */

import { lstatSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { VnicError } from '../base/index.ts';

const FOLDER_MODE = 0o755;
const PRIVATE_MODE = 0o700;

/**
 * The folder of the journals, made if it is missing: `$VNIC_RUNTIME_DIRECTORY`; for root `/run/vnic`; for others
 * `$XDG_RUNTIME_DIR/vnic`, or `/tmp/vnic-UID` where there is none.
 * @throws VNIC_JOURNAL when none can be used
 */
export function runtimeDirectory(env: NodeJS.ProcessEnv = process.env): string {
  const reasons: string[] = [];
  for (const { path, mode } of candidates(env)) {
    const reason = unusable(path, mode);
    if (reason === undefined) return path;
    reasons.push(`${path}: ${reason}`);
  }
  throw new VnicError('VNIC_JOURNAL', {
    attempted: 'make the folder of the journal',
    reason: reasons.join('; '),
    hint: 'Set VNIC_RUNTIME_DIRECTORY to a folder of this user, best one in memory.',
  });
}

/** As `runtimeDirectory`, and undefined where there is none yet: who only reads makes none. */
export function findRuntimeDirectory(env: NodeJS.ProcessEnv = process.env): string | undefined {
  return candidates(env).find(({ path }) => refusal(path) === undefined)?.path;
}

function candidates(env: NodeJS.ProcessEnv): readonly { readonly path: string; readonly mode: number }[] {
  const explicit = env['VNIC_RUNTIME_DIRECTORY'];
  if (explicit) return [{ path: explicit, mode: FOLDER_MODE }];
  const runtime = env['XDG_RUNTIME_DIR'];
  return [
    ...(process.geteuid?.() === 0 ? [{ path: '/run/vnic', mode: FOLDER_MODE }] : []),
    ...(runtime ? [{ path: join(runtime, 'vnic'), mode: FOLDER_MODE }] : []),
    { path: `/tmp/vnic-${outerUid()}`, mode: PRIVATE_MODE },
  ];
}

/** Undefined when the folder is there, ours and not a link that somebody else has put there. */
function unusable(path: string, mode: number): string | undefined {
  try {
    mkdirSync(path, { recursive: mode === FOLDER_MODE, mode });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return (error as NodeJS.ErrnoException).code ?? 'error';
  }
  return refusal(path);
}

function refusal(path: string): string | undefined {
  try {
    const status = lstatSync(path);
    if (!status.isDirectory()) return 'not a folder';
    if (status.uid !== process.geteuid?.()) return 'belongs to another user';
    return (status.mode & 0o022) === 0 ? undefined : 'other users may write to it';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'error';
  }
}

/** The uid outside of the user namespace: inside, every user is 0. */
function outerUid(): number {
  const own = process.geteuid?.() ?? 0;
  try {
    for (const line of readFileSync('/proc/self/uid_map', 'utf8').trim().split('\n')) {
      const [inside = 0, outside = 0, length = 0] = line.trim().split(/\s+/).map(Number);
      if (own >= inside && own < inside + length) return outside + own - inside;
    }
  } catch {
    // Without /proc the number inside has to do.
  }
  return own;
}
