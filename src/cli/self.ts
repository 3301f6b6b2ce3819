/** How this command runs itself again, for what has to happen in another namespace. */

/** Program and arguments that run `vnic` with these arguments: the same Node.js, the same file. */
export function selfCommand(args: readonly string[]): string[] {
  return [process.execPath, ...process.execArgv, process.argv[1] as string, ...args];
}
