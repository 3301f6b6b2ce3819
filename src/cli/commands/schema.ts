/** `vnic schema`: what may be in a configuration file. */

import type { Command } from 'commander';

import { printJson } from '../output.ts';

export function define(command: Command): void {
  command
    .description(
      'Print what may be in a configuration file, as JSON Schema (draft 2020-12), for editors and other tools.',
    )
    .addHelpText(
      'after',
      `
Examples:
  vnic schema > vnic.schema.json
  # first line of a file, for editors with the YAML language server:
  # yaml-language-server: $schema=vnic.schema.json`,
    )
    .action(async () => {
      const { configJsonSchema } = await import('../../config/index.ts');
      printJson(configJsonSchema);
    });
}
