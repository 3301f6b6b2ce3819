/** This command itself: its version, and how it runs again for what has to happen in another namespace. */

import { readFileSync } from 'node:fs';

/** Program and arguments that run `vnic` with these arguments: the same Node.js, the same file. */
export function selfCommand(args: readonly string[]): string[] {
  return [process.execPath, ...process.execArgv, process.argv[1] as string, ...args];
}

/** Of package.json. */
export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
