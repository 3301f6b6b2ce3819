/**
 * Makes what QEMU boots as a router between two of its network cards, out of Debian packages: the cloud kernel, and an initial file
 * system with busybox, `tc` and the modules of a bridge and of `netem`. The machine's own kernel need not have those.
 *
 *   node scripts/build-guest.mjs     prints the folder with `vmlinuz` and `initramfs`; makes it only once
 *
 * The guest prints `guest ready` and then does what lines on its serial console say, in a shell.
 */

import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

import { capture, fail, findProgram, inRoot, say } from './process.mjs';

const KERNEL_PACKAGE = 'linux-image-cloud-amd64';
/** With what they need; busybox finds the order. */
const MODULES = ['drivers/virtio', 'drivers/net', 'net/core', 'net/802', 'net/llc', 'net/bridge', 'net/sched'];

const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
for module in virtio_pci virtio_net bridge sch_netem; do modprobe $module; done
brctl addbr br0
for device in eth0 eth1; do ip link set $device up; brctl addif br0 $device; done
ip link set br0 up
echo guest ready
while read -r line; do eval "$line"; echo "done: $line"; done
poweroff -f
`;

/** @returns the folder */
export function buildGuest() {
  const folder = inRoot('build', 'guest');
  if (existsSync(join(folder, 'initramfs'))) return folder;
  const work = inRoot('build', 'guest-work');
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  const packages = join(work, 'packages');
  unpack(work, packages);
  const made = join(work, 'guest');
  mkdirSync(made);
  const boot = join(packages, 'boot');
  copyFileSync(
    join(
      boot,
      readdirSync(boot).find((name) => name.startsWith('vmlinuz')),
    ),
    join(made, 'vmlinuz'),
  );
  writeFileSync(join(made, 'initramfs'), initramfs(packages, join(work, 'root')));
  rmSync(folder, { recursive: true, force: true });
  renameSync(made, folder);
  rmSync(work, { recursive: true, force: true });
  return folder;
}

function unpack(work, packages) {
  // Lists may be missing, or name what is gone from the mirror.
  if (!download(work)) {
    must(['apt-get', '-q', 'update']);
    if (!download(work))
      fail(`${KERNEL_PACKAGE} and busybox-static cannot be downloaded`, 'See what `apt-get download` says.');
  }
  for (const file of readdirSync(work).filter((name) => name.endsWith('.deb'))) {
    must(['dpkg-deb', '-x', join(work, file), packages]);
  }
}

function download(work) {
  const { output } = capture(['apt-cache', 'depends', KERNEL_PACKAGE]);
  const kernel = /Depends: (linux-image-\S+)/.exec(output)?.[1];
  if (kernel === undefined) return false;
  say(`fetching the guest's kernel: ${kernel}`);
  const options = ['-q', '-o', 'APT::Sandbox::User=root', '-o', 'DPkg::Lock::Timeout=120'];
  return capture(['apt-get', ...options, 'download', kernel, 'busybox-static'], { cwd: work }).ok;
}

/** The compressed archive that the kernel unpacks as its first file system. */
function initramfs(packages, root) {
  const version = readdirSync(join(packages, 'lib/modules'))[0];
  const busybox = join(packages, 'bin/busybox');
  for (const name of ['bin', 'proc', 'sys', 'dev']) mkdirSync(join(root, name), { recursive: true });
  copyFileSync(busybox, join(root, 'bin/busybox'));
  writeFileSync(join(root, 'init'), INIT, { mode: 0o755 });
  for (const path of MODULES) copyModules(join(packages, 'lib/modules', version, 'kernel', path), root, version);
  must([busybox, 'depmod', '-b', root, version]);
  copyWithLibraries(findProgram('tc'), root);
  const names = must(['find', '.'], { cwd: root });
  const archive = spawnSync(busybox, ['cpio', '-o', '-H', 'newc'], { cwd: root, input: names, maxBuffer: 256 << 20 });
  if (archive.status !== 0) fail(`cpio failed: ${archive.stderr}`);
  return gzipSync(archive.stdout, { level: 1 });
}

/** The modules of one folder, and not of those below it. */
function copyModules(from, root, version) {
  const to = join(root, 'lib/modules', version, 'kernel');
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from)) if (name.includes('.ko')) copyFileSync(join(from, name), join(to, name));
}

function copyWithLibraries(program, root) {
  copyFileSync(program, join(root, 'bin', `${basename(program)}-of-iproute2`));
  for (const [path] of must(['ldd', program]).matchAll(/\/\S+/g)) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    copyFileSync(path, join(root, path));
  }
}

function must(command, options) {
  const { ok, output } = capture(command, options);
  if (!ok) fail(`${command.join(' ')} failed: ${output}`);
  return output;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.stdout.write(`${buildGuest()}\n`);
