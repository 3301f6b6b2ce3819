/** A root with processes, network, names and control groups of its own, in which a program is process 1. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { startLive } from './live-vnic.ts';
import { type RunResult, run } from './run-vnic.ts';

/** A container under way. */
export interface Container {
  /** Runs a script of bash in it, in which `vnic` is the command under test. */
  shell(script: string): Promise<RunResult>;
  /** Ends every process, with everything that was made. */
  stop(): Promise<void>;
}

const SCRIPT = fileURLToPath(new URL('./container-root.sh', import.meta.url));
const CHECKOUT = fileURLToPath(new URL('../../', import.meta.url));
const namespaces = ['--pid', '--fork', '--mount', '--net', '--uts', '--ipc', '--cgroup', '--kill-child'];
const SEARCH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Starts process 1. @param program in the container */
export async function startContainer(program: readonly string[]): Promise<Container> {
  const root = mkdtempSync(join(tmpdir(), 'vnic-root-'));
  const groups = mkdtempSync(join(tmpdir(), 'vnic-groups-'));
  execFileSync('mount', ['-t', 'cgroup2', 'cgroup2', groups]);
  const group = join(groups, `vnic-test-${process.pid}`);
  mkdirSync(group, { recursive: true });
  const enter = ['sh', '-c', `echo $$ > ${group}/cgroup.procs; exec "$@"`, 'sh'];
  const live = startLive([...enter, 'unshare', ...namespaces, SCRIPT, root, CHECKOUT, ...program]);
  await live.until(/the root is made/);
  const pid = firstChild(live.child.pid as number);
  return {
    shell: (script) => {
      const define = `vnic() { node /opt/vnic/dist/cli/main.js "$@"; }\n${script}`;
      const inside = ['nsenter', '-t', String(pid), '-p', '-m', '-n', '-u', '-i', '-C', '-r', '-w'];
      return run(['env', '-i', SEARCH, ...inside, 'bash', '-c', define]);
    },
    stop: async () => {
      // Process 1 takes everything in its pid namespace along.
      process.kill(pid, 'SIGKILL');
      await live.end();
      removeGroups(group);
      execFileSync('umount', [groups]);
      rmdirSync(groups);
      rmSync(root, { recursive: true });
    },
  };
}

function firstChild(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]);
}

/** Control groups are removed from the leaves, when they are empty. */
function removeGroups(path: string): void {
  for (const name of readdirSync(path)) {
    if (statSync(join(path, name)).isDirectory()) removeGroups(join(path, name));
  }
  rmdirSync(path);
}
