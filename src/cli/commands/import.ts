/** `vnic import`: a file of interfaces(5) or systemd-networkd files. */

import { readFile } from 'node:fs/promises';

import type { Command } from 'commander';

import { VnicError } from '../../base/index.ts';
import type { ImportedConfig, SourceFile } from '../../state/index.ts';
import { print, printable, printNote } from '../output.ts';
import { usageError } from '../report-error.ts';

export function define(command: Command): void {
  command
    .description(
      'Write the configuration file for what other files describe: /etc/network/interfaces, or the .netdev and .network ' +
        'files of systemd. Nothing of them is run. What cannot be carried over is told on stderr, line by line.',
    )
    .argument('<file...>', 'one interfaces file, or any number of .netdev and .network files')
    .addHelpText(
      'after',
      `
What exists now, made by \`ip\`, \`tunctl\` or others, is written by \`vnic export\`.

Examples:
  vnic import /etc/network/interfaces > vnic.yaml
  vnic import /etc/systemd/network/*.net* > vnic.yaml`,
    )
    .action(importFiles);
}

async function importFiles(paths: readonly string[]): Promise<void> {
  const files = await Promise.all(paths.map(readSource));
  const { config, notes } = await imported(files);
  const { formatConfig, parseConfig } = await import('../../config/index.ts');
  const text = formatConfig(config);
  print(text.trimEnd());
  for (const { path, line, message } of notes) printNote(`note: ${printable(`${path}:${line}: ${message}`)}`);
  for (const { path, message } of parseConfig(text).mistakes)
    printNote(`note: mend this first: ${printable(`${path}: ${message}`)}`);
}

async function imported(files: readonly SourceFile[]): Promise<ImportedConfig> {
  const { importInterfaces, importNetworkd } = await import('../../state/index.ts');
  const isNetworkd = ({ path }: SourceFile): boolean => /\.(netdev|network)$/.test(path);
  const [first, second] = files;
  if (first !== undefined && second === undefined && !isNetworkd(first)) return importInterfaces(first);
  if (files.every(isNetworkd)) return importNetworkd(files);
  throw usageError(
    'import these files',
    'they are of several kinds',
    'Give one interfaces file, or .netdev and .network files.',
  );
}

async function readSource(path: string): Promise<SourceFile> {
  try {
    return { path, text: await readFile(path, 'utf8') };
  } catch (error) {
    const errno = (error as NodeJS.ErrnoException).code ?? 'EIO';
    throw new VnicError('VNIC_SYSTEM_CALL', {
      attempted: `read ${path}`,
      reason: `the file system said ${errno}`,
      hint: 'Give the path of a file that this user may read.',
      errno,
      syscall: 'open',
    });
  }
}
