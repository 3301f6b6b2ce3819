/** `vnic sysctl`: kernel settings of the network, of any namespace. */

import type { Command } from 'commander';

import { VnicError } from '../../base/index.ts';
import { type NetnsOptions, readSysctl, writeSysctl } from '../../netns/index.ts';
import { print, printable, printJson } from '../output.ts';

interface SysctlOptions extends NetnsOptions {
  readonly json?: true;
}

export function define(command: Command): void {
  command
    .description(
      'Read and change kernel settings, as sysctl(8) does, in any network namespace. Changes last until the machine or the\n' +
        'namespace ends. All keys are looked up before the first is changed.',
    )
    .argument('<setting...>', 'KEY to read it, KEY=VALUE to change it; keys below "net"')
    .option('--json', 'an object of keys and values')
    .addHelpText(
      'after',
      `
A slash stands for a dot in the name of an interface: net.ipv4.conf.eth0/7.forwarding.

Examples:
  vnic sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding
  sudo vnic sysctl net.ipv4.conf.tap0.proxy_arp=1 net.ipv6.conf.tap0.accept_ra=0
  sudo vnic sysctl net.ipv4.ip_forward=1 --netns blue`,
    )
    .action(run);
}

async function run(settings: readonly string[], options: SysctlOptions): Promise<void> {
  const wanted = settings.map((text) => {
    const equals = text.indexOf('=');
    return equals < 0 ? { key: text } : { key: text.slice(0, equals), value: text.slice(equals + 1) };
  });
  for (const { key } of wanted) read(key, options);
  for (const { key, value } of wanted) if (value !== undefined) writeSysctl(key, value, options);
  const values = wanted.map(({ key }) => [key, read(key, options)] as const);
  if (options.json) printJson(Object.fromEntries(values));
  else for (const [key, value] of values) print(`${printable(key)} = ${printable(value)}`);
}

function read(key: string, options: SysctlOptions): string {
  const value = readSysctl(key, options);
  if (value !== undefined) return value;
  throw new VnicError('VNIC_NO_SUCH_SYSCTL', {
    attempted: `read the setting ${key}`,
    hint: 'Check the name, and that of the interface in it, with `vnic list --all`.',
  });
}
