/**
 * Running a command where it is root of a network of its own: no privilege needed, nothing left behind.
 *
 * Built on the program `unshare` of util-linux, because the kernel refuses `unshare(CLONE_NEWUSER)` in a process
 * of several threads, as every Node.js process is, and because a namespace entered by one thread of such a
 * process would hold for that thread only.
 *
 * The command becomes the first process of a pid namespace: when it ends, or `unshare` is killed, the kernel ends
 * everything it has started. Such a first process gets only the signals that it handles. `unshare` itself waits
 * for the command and passes no signal on; SIGKILL ends both.
 */

import { spawnSync } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

import { VnicError } from '../base/index.ts';

/** Which namespaces a sandbox consists of: `user` works without privilege, `root` needs CAP_SYS_ADMIN. */
export type SandboxForm = 'user' | 'root';

/** A program with its arguments, ready for `spawn`. */
export interface SandboxCommand {
  readonly command: string;
  readonly args: readonly string[];
}

/** Whether this user may make a sandbox, and of which form; the reason when not, in the kernel's words. */
export type SandboxProbe =
  | { readonly ok: true; readonly form: SandboxForm }
  | { readonly ok: false; readonly cause: 'forbidden' | 'unshare-missing'; readonly reason: string };

/** How the namespaces are made. */
export interface SandboxOptions {
  /** Default `user`. */
  readonly form?: SandboxForm;
}

/** The namespaces of each form as arguments of `unshare`. */
const namespaces: Readonly<Record<SandboxForm, readonly string[]>> = {
  user: ['--user', '--map-root-user', '--net', '--pid'],
  root: ['--net', '--pid'],
};

/** Long enough for a busy machine; a probe takes milliseconds. */
const PROBE_TIMEOUT_MS = 10_000;

/**
 * The command line that runs `argv` in fresh namespaces, as root there. Nothing is run or checked.
 * @param argv program and arguments; at least the program
 * @throws VNIC_PROGRAM_MISSING when `unshare` is not installed
 */
export function sandboxCommand(argv: readonly string[], options: SandboxOptions = {}): SandboxCommand {
  const unshare = findProgram('unshare');
  if (unshare === undefined) throw unshareMissing(`run ${argv[0] ?? 'a command'} in a namespace of its own`);
  const form = options.form ?? 'user';
  return { command: unshare, args: [...namespaces[form], '--kill-child', '--', ...argv] };
}

/** Tries to make a sandbox: without privilege first, then, as root, without a user namespace. */
export function probeSandbox(): SandboxProbe {
  if (findProgram('unshare') === undefined) {
    return { ok: false, cause: 'unshare-missing', reason: 'the program unshare (util-linux) is not installed' };
  }
  const reasons: string[] = [];
  for (const form of process.geteuid?.() === 0 ? (['user', 'root'] as const) : (['user'] as const)) {
    const reason = tryForm(form);
    if (reason === undefined) return { ok: true, form };
    reasons.push(reason);
  }
  return { ok: false, cause: 'forbidden', reason: reasons.join('; ') };
}

/**
 * `probeSandbox`, with the errors that a user can act on.
 * @param sudoForm the command line to propose where only root may do it, for example `sudo vnic demo`
 * @throws VNIC_NAMESPACE_FORBIDDEN, VNIC_PROGRAM_MISSING
 */
export function requireSandbox(attempted: string, sudoForm: string): SandboxForm {
  const probe = probeSandbox();
  if (probe.ok) return probe.form;
  if (probe.cause === 'unshare-missing') throw unshareMissing(attempted);
  const switches = namespaceSwitches();
  throw new VnicError('VNIC_NAMESPACE_FORBIDDEN', {
    attempted,
    reason: `this user may not make a user and network namespace (${probe.reason})`,
    hint:
      switches.length === 0
        ? `Run it as root: \`${sudoForm}\`; in a container allow it with \`--privileged\`, or with \`--cap-add SYS_ADMIN --cap-add NET_ADMIN\`.`
        : `Allow it with \`sudo sysctl ${switches.map(({ fix }) => fix).join(' ')}\`, or run it as root: \`${sudoForm}\`.`,
  });
}

/** A kernel setting that keeps users without privilege from making namespaces. */
export interface NamespaceSwitch {
  /** Its name for `sysctl`. */
  readonly name: string;
  readonly value: string;
  /** `NAME=VALUE` that lifts it. */
  readonly fix: string;
}

/** The settings of this machine that forbid namespaces; empty when none does. */
export function namespaceSwitches(): NamespaceSwitch[] {
  const candidates = [
    { name: 'user.max_user_namespaces', forbids: '0', allow: '15000' },
    { name: 'user.max_net_namespaces', forbids: '0', allow: '15000' },
    { name: 'user.max_pid_namespaces', forbids: '0', allow: '15000' },
    // Debian's and Arch's patch.
    { name: 'kernel.unprivileged_userns_clone', forbids: '0', allow: '1' },
    // Ubuntu since 23.10: the namespace can be made, but gives no capability in it.
    { name: 'kernel.apparmor_restrict_unprivileged_userns', forbids: '1', allow: '0' },
  ];
  return candidates.flatMap(({ name, forbids, allow }) => {
    const value = readSysctl(name);
    return value === forbids ? [{ name, value, fix: `${name}=${allow}` }] : [];
  });
}

/** The value of a sysctl; undefined when the kernel does not have it or hides it. */
export function readSysctl(name: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/${name.replaceAll('.', '/')}`, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** Full path of a program, or undefined. Debian keeps some outside a plain user's PATH. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];
  return folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

/** Undefined when the form works, else why not. */
function tryForm(form: SandboxForm): string | undefined {
  const { command, args } = sandboxCommand(['true'], { form });
  const done = spawnSync(command, args, {
    encoding: 'utf8',
    timeout: PROBE_TIMEOUT_MS,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (done.status === 0) return undefined;
  return (
    done.stderr?.trim().split('\n').at(-1) || done.error?.message || `unshare ended with ${done.status ?? done.signal}`
  );
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function unshareMissing(attempted: string): VnicError {
  return new VnicError('VNIC_PROGRAM_MISSING', {
    attempted,
    reason: 'the program unshare is not installed',
    hint: 'Install it: `sudo apt-get install util-linux`.',
  });
}
