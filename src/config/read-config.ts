/** Configuration files. */

import { readFile } from 'node:fs/promises';

import { VnicError } from '../base/index.ts';
import type { Config } from './config.ts';
import { formatMistake } from './mistake.ts';
import { parseConfig } from './parse-config.ts';

/** The file of a machine. */
export const DEFAULT_CONFIG_PATH: string = '/etc/vnic/vnic.yaml';

/**
 * Reads and checks a file.
 * @throws VNIC_CONFIG_INVALID, whose `cause` is the array of every `ConfigMistake`; VNIC_SYSTEM_CALL when the file
 *   cannot be read
 */
export async function readConfig(
  path: string = DEFAULT_CONFIG_PATH,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Config> {
  const { config, mistakes } = parseConfig(await readText(path, options.signal));
  if (config !== undefined) return config;
  const [first] = mistakes;
  const more = mistakes.length > 1 ? `${mistakes.length} mistakes, the first: ` : '';
  throw new VnicError('VNIC_CONFIG_INVALID', {
    attempted: `use ${path}`,
    reason: `${more}${first === undefined ? '' : formatMistake(path, first).split('\n')[0]}`,
    hint: 'Mend what is marked; `vnic schema` prints what may stand where, for editors.',
    cause: mistakes,
  });
}

async function readText(path: string, signal: AbortSignal | undefined): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path, signal === undefined ? {} : { signal });
  } catch (error) {
    const errno = (error as NodeJS.ErrnoException).code ?? 'EIO';
    throw new VnicError('VNIC_SYSTEM_CALL', {
      attempted: `read ${path}`,
      reason: errno === 'ENOENT' ? 'there is no such file' : `the file system said ${errno}`,
      hint: 'Name the file with `--file`; `vnic export` writes one of what exists now.',
      errno,
      syscall: 'open',
      cause: error,
    });
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new VnicError('VNIC_CONFIG_INVALID', {
      attempted: `use ${path}`,
      reason: 'the file is not text in UTF-8',
      hint: 'Give the path of a YAML file.',
      cause,
    });
  }
}
