/** `vnic service`: installs the service, has its manager start and stop it, and asks how it is. */

import { Argument, type Command, Option } from 'commander';

import type { InstallOptions, ServiceManager } from '../../service/index.ts';
import { DEFAULT_FILE } from '../config-file.ts';
import { print, printable, printJson, printNote } from '../output.ts';
import { usageError } from '../report-error.ts';
import { decimalNumber, option, parseText, wholeNumber } from '../values.ts';

interface ServiceOptions {
  readonly file?: string;
  readonly root: string;
  readonly manager?: ServiceManager;
  readonly keep?: true;
  readonly exec?: string;
  readonly force?: true;
  readonly json?: true;
  readonly watch?: number | true;
  readonly lines: number;
  readonly follow?: true;
}

const managed = ['start', 'stop', 'restart', 'reload', 'enable', 'disable'] as const;
type Managed = (typeof managed)[number];

/** Options that some verbs only have a use for. */
const usedBy: Readonly<Record<string, readonly string[]>> = {
  file: ['install', 'status'],
  root: ['install', 'uninstall', 'enable', 'disable'],
  keep: ['install'],
  exec: ['install'],
  force: ['install', 'uninstall'],
  json: ['install', 'uninstall', 'status'],
  watch: ['status'],
  lines: ['logs'],
  follow: ['logs'],
};

export function define(command: Command): void {
  command
    .description(
      'Install `vnic run` as a service, for systemd or, where there is none, as an LSB init script; have it started and ' +
        'stopped; ask how it is. Install asks the file what it needs: with kernel settings or network namespaces in it the unit ' +
        'has more rights, so install again after adding the first of them.',
    )
    .addArgument(new Argument('<verb>', 'what to do').choices(['install', 'uninstall', ...managed, 'status', 'logs']))
    .addOption(
      option(
        '-f, --file <path>',
        `the configuration file (default: that of the service, or "${DEFAULT_FILE}")`,
        parseText,
      ),
    )
    .addOption(option('--root <folder>', 'an image that is not running', parseText).default('/'))
    .addOption(
      new Option('--manager <name>', 'who starts it (default: what the machine has)').choices(['systemd', 'init']),
    )
    .option('--keep', 'install: devices stay when the service stops')
    .addOption(option('--exec <path>', 'install: the vnic to run, as it is called in the image', parseText))
    .option('--force', 'overwrite or remove a file that vnic did not write, or that was changed')
    .addOption(option('-n, --lines <count>', 'logs: how many lines', wholeNumber(1, 1_000_000)).default(50))
    .option('--follow', 'logs: and those to come')
    .option('--json', 'status, install, uninstall: an object')
    .addOption(
      option(
        '-w, --watch [seconds]',
        'status: again and again, every second or so many; with --json an object a line',
        decimalNumber(0.05, 3600, 'seconds'),
      ),
    )
    .addHelpText(
      'after',
      `
Stop undoes everything that was made of the file, unless it was installed with --keep; restart and reload undo nothing,
so connections stay.

Exit status of status (LSB): 0 running, 1 dead and a pid file is left, 2 dead and a lock file is left, 3 not running, 4 unknown.

Examples:
  sudo vnic service install && sudo vnic service enable && sudo vnic service start
  sudo vnic service status --json
  sudo vnic service status --watch
  vnic service install --root /srv/image --manager systemd --exec /usr/bin/vnic`,
    )
    .action(service);
}

async function service(verb: string, options: ServiceOptions, command: Command): Promise<void> {
  refuseUnused(verb, command);
  const { logCommand, askManager, detectManager, INIT_LOG_FILE } = await import('../../service/index.ts');
  const manager = options.manager ?? detectManager(options.root);
  if (verb === 'install') return install(options, manager);
  if (verb === 'uninstall') return uninstall(options, manager);
  if (verb === 'status') {
    const { serviceStatus } = await import('../service-status.ts');
    return serviceStatus({
      manager,
      json: options.json ?? false,
      ...(options.watch !== undefined && { watch: options.watch === true ? 1 : options.watch }),
      ...(options.file !== undefined && { file: options.file }),
    });
  }
  if (verb === 'logs') {
    const { runInstead } = await import('../run-instead.ts');
    return runInstead(logCommand(manager, INIT_LOG_FILE, { lines: options.lines, follow: options.follow ?? false }));
  }
  askManager(manager, verb as Managed, options.root);
}

async function install(options: ServiceOptions, manager: ServiceManager): Promise<void> {
  const { installService, reloadManager } = await import('../../service/index.ts');
  const { resolve } = await import('node:path');
  const config = resolve(options.file ?? DEFAULT_FILE);
  const needs = await needsOf(config, options.root);
  const { path, unchanged } = installService(
    {
      command: await commandOf(options),
      config,
      keep: options.keep ?? false,
      needs: needs ?? { sysctls: false, namespaces: false },
    },
    installOptions(options, manager),
  );
  reloadManager(manager, options.root);
  if (options.json) {
    printJson({ manager, path, config, unchanged, needs: needs ?? null });
    return;
  }
  print(`${printable(path)} ${unchanged ? 'was there already' : 'written'}`);
  if (needs === undefined)
    printNote(`${printable(config)} is not there yet; \`vnic export > ${printable(config)}\` writes one`);
}

async function uninstall(options: ServiceOptions, manager: ServiceManager): Promise<void> {
  const { uninstallService, reloadManager, installedService, findRun, askManager } = await import(
    '../../service/index.ts'
  );
  const { journalPath } = await import('../../state/index.ts');
  const found = installedService(installOptions(options, manager));
  if (options.root === '/' && found !== undefined) {
    if (findRun(journalPath(found.config)).state === 'alive') {
      throw usageError('run `vnic service uninstall`', 'the service is running', 'Stop it first: `vnic service stop`.');
    }
    // While the file is there: the manager looks into it.
    if (!found.edited || options.force) askManager(manager, 'disable');
  }
  const path = uninstallService(installOptions(options, manager));
  if (path !== undefined) reloadManager(manager, options.root);
  if (options.json) printJson({ manager, path: path ?? null });
  else print(path === undefined ? 'no service is installed' : `${printable(path)} removed`);
}

function installOptions({ root, force }: ServiceOptions, manager: ServiceManager): InstallOptions {
  return { root, manager, force: force ?? false };
}

/** Undefined when there is no file yet. @throws VNIC_CONFIG_INVALID: nothing is installed that cannot start */
async function needsOf(config: string, root: string): Promise<{ sysctls: boolean; namespaces: boolean } | undefined> {
  const { existsSync } = await import('node:fs');
  const { join } = await import('node:path');
  const { loadConfig } = await import('../config-file.ts');
  const { serviceNeeds } = await import('../../service/index.ts');
  const path = join(root, config);
  return existsSync(path) ? serviceNeeds(await loadConfig({ file: path }, false)) : undefined;
}

async function commandOf({ exec, root }: ServiceOptions): Promise<string[]> {
  const { realpathSync } = await import('node:fs');
  if (exec !== undefined) {
    if (exec.startsWith('/')) return [exec];
    throw usageError('run `vnic service install`', `--exec ${exec} is not an absolute path`, 'Give the whole path.');
  }
  if (root !== '/') {
    throw usageError(
      'run `vnic service install`',
      '--root needs --exec',
      'Say where vnic is in the image, for example `--exec /usr/bin/vnic`.',
    );
  }
  return [process.execPath, realpathSync(process.argv[1] as string)];
}

function refuseUnused(verb: string, command: Command): void {
  for (const [name, verbs] of Object.entries(usedBy)) {
    if (verbs.includes(verb) || command.getOptionValueSource(name) !== 'cli') continue;
    throw usageError(`run \`vnic service ${verb}\``, `--${name} is not for ${verb}`, `It is for ${verbs.join(', ')}.`);
  }
}
