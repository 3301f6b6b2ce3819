/** `vnic service status`: how the service is, what its devices and links carry, once or again and again; exit statuses of LSB. */

import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

import { Kernel, namespaceInode } from '../changes/index.ts';
import { type Config, type DeviceConfig, readConfig } from '../config/index.ts';
import type { LinkInfo } from '../netlink/index.ts';
import {
  findRun,
  INIT_LOCK_FILE,
  type InstalledService,
  installedService,
  isEnabled,
  type RunInfo,
  type ServiceManager,
} from '../service/index.ts';
import { journalPath } from '../state/index.ts';
import { interruption } from './interruption.ts';
import { print, printable, printJson, type StyleFormat, style } from './output.ts';
import { reportError } from './report-error.ts';
import { LinkSource, type LinkStatus, linkLines } from './service-links.ts';
import { type SwitchRunStatus, switchLines } from './service-switches.ts';
import { type TunnelStatus, tunnelLines } from './service-tunnels.ts';
import { symbols } from './symbols.ts';
import { formatTable } from './table.ts';
import { Screen } from './top-screen.ts';

/** LSB Core 5.0, 22.2 "Init Script Actions". */
const LsbStatus = { running: 0, deadWithPidFile: 1, deadWithLock: 2, stopped: 3 } as const;
const LSB_UNKNOWN = 4;
type Condition = keyof typeof LsbStatus;

/** One device of the file as it is now. */
interface DeviceStatus {
  readonly name: string;
  readonly namespace?: string;
  readonly kind?: string;
  readonly exists: boolean;
  readonly up: boolean;
  readonly carrier: boolean;
  readonly rxPackets: number;
  readonly rxBytes: number;
  readonly rxDropped: number;
  readonly txPackets: number;
  readonly txBytes: number;
  readonly txDropped: number;
}

const conditions: Readonly<Record<Condition, { readonly text: string; readonly colour: StyleFormat }>> = {
  running: { text: 'running', colour: 'green' },
  deadWithPidFile: { text: 'dead: it was killed, and undid nothing', colour: 'red' },
  deadWithLock: { text: 'dead: its lock file is left', colour: 'red' },
  stopped: { text: 'not running', colour: 'yellow' },
};

/** Whose status, and how it is told. */
interface StatusOptions {
  readonly manager: ServiceManager;
  readonly json: boolean;
  readonly file?: string;
  /** Every so many seconds, until it is interrupted. */
  readonly watch?: number;
}

/** Prints it and sets the exit status. */
export async function serviceStatus(options: StatusOptions): Promise<void> {
  try {
    await tellStatus(options);
  } catch (error) {
    reportError(error, { json: options.json });
    process.exitCode = LSB_UNKNOWN;
  }
}

async function tellStatus(options: StatusOptions): Promise<void> {
  const installed = installedService({ manager: options.manager });
  const config = journalPath(options.file ?? installed?.config);
  using source = new LinkSource(config);
  const look = (): Promise<Found> => find({ config, installed, manager: options.manager, source });
  if (options.watch !== undefined) {
    await watchStatus(look, { ...options, watch: options.watch });
    return;
  }
  const found = await look();
  if (options.json) printJson(statusJson(found));
  else print(statusLines(found).join('\n'));
  process.exitCode = LsbStatus[found.condition];
}

/** Redrawn on a terminal, one after the other elsewhere. */
async function watchStatus(
  look: () => Promise<Found>,
  { json, watch }: { json: boolean; watch: number },
): Promise<void> {
  const signal = interruption();
  const screen = process.stdout.isTTY && !json ? new Screen(process.stdout) : undefined;
  try {
    while (!signal.aborted) {
      const found = await look();
      if (json) print(JSON.stringify({ time: new Date().toISOString(), ...statusJson(found) }));
      else if (screen === undefined) print(`${statusLines(found).join('\n')}\n`);
      else
        screen.draw([
          `vnic service status  ${new Date().toTimeString().slice(0, 8)}  Ctrl-C ends it`,
          '',
          ...statusLines(found),
        ]);
      await delay(watch * 1000, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    screen?.close();
  }
}

/** All that there is to tell. */
interface Found {
  readonly condition: Condition;
  readonly config: string;
  readonly installed: InstalledService | undefined;
  readonly manager: ServiceManager;
  readonly info: RunInfo | undefined;
  readonly devices: readonly DeviceStatus[];
  readonly links: readonly LinkStatus[];
  readonly tunnels: readonly TunnelStatus[];
  readonly switches: readonly SwitchRunStatus[];
}

interface Place extends Pick<Found, 'config' | 'installed' | 'manager'> {
  readonly source: LinkSource;
}

async function find({ source, ...place }: Place): Promise<Found> {
  const run = findRun(place.config);
  const condition = conditionOf(run.state, place.manager);
  const config = await configOf(place.config);
  return {
    ...place,
    condition,
    info: run.state === 'none' ? undefined : run.info,
    devices: config === undefined ? [] : await devicesOf(config),
    ...(await source.read(config, run)),
  };
}

function statusJson({ condition, config, installed, manager, info, devices, links, tunnels, switches }: Found): object {
  return {
    state: condition === 'running' ? (info?.state ?? 'starting') : condition === 'stopped' ? 'stopped' : 'dead',
    manager,
    config,
    installed: installed ?? null,
    enabled: installed === undefined ? false : (isEnabled(manager) ?? null),
    run: info ?? null,
    devices,
    links,
    tunnels,
    switches,
  };
}

function conditionOf(state: ReturnType<typeof findRun>['state'], manager: ServiceManager): Condition {
  if (state === 'alive') return 'running';
  if (state === 'dead') return 'deadWithPidFile';
  return manager === 'init' && existsSync(INIT_LOCK_FILE) ? 'deadWithLock' : 'stopped';
}

function statusLines({
  condition,
  config,
  installed,
  manager,
  info,
  devices,
  links,
  tunnels,
  switches,
}: Found): string[] {
  const { text, colour } = conditions[condition];
  const isRunning = condition === 'running';
  const rows: (readonly [string, string])[] = [
    [
      'state',
      style(isRunning && info?.state === 'degraded' ? 'yellow' : colour, isRunning ? (info?.state ?? text) : text),
    ],
    ['file', printable(config)],
    ['installed', installed === undefined ? 'no' : `${installed.path}${installed.edited ? ', edited' : ''}`],
  ];
  if (installed !== undefined)
    rows.push(['at boot', { true: 'yes', false: 'no' }[String(isEnabled(manager))] ?? 'unknown']);
  if (info !== undefined) {
    if (isRunning) rows.push(['process', `${info.process.pid}, since ${info.since}`], ['says', printable(info.text)]);
    rows.push(['mended', String(info.repairs)]);
  }
  return [
    ...formatTable(rows).split('\n'),
    ...(devices.length > 0 ? ['', ...deviceTable(devices).split('\n')] : []),
    ...(links.length > 0 ? ['', ...linkLines(links, Date.now())] : []),
    ...(tunnels.length > 0 ? ['', ...tunnelLines(tunnels, Date.now())] : []),
    ...(switches.length > 0 ? ['', ...switchLines(switches, Date.now())] : []),
  ];
}

function deviceTable(devices: readonly DeviceStatus[]): string {
  const { ok, fail } = symbols();
  const head = ['', 'device', 'kind', 'state', 'received', 'dropped', 'sent', 'dropped'].map((word) =>
    style('bold', word),
  );
  const rows = devices.map((device) => {
    const { name, namespace, kind, exists, up, carrier, rxPackets, rxDropped, txPackets, txDropped } = device;
    const state = !exists ? 'missing' : !up ? 'down' : carrier ? 'up' : 'up, nobody attached';
    const counters = exists ? [rxPackets, rxDropped, txPackets, txDropped].map(String) : [];
    return [
      exists ? style('green', ok) : style('red', fail),
      printable(namespace === undefined ? name : `${name} in ${namespace}`),
      kind ?? '',
      state,
      ...counters,
    ];
  });
  return formatTable([head, ...rows]);
}

/** Undefined where the file cannot be read: the service keeps the last good one. */
async function configOf(path: string): Promise<Config | undefined> {
  try {
    return await readConfig(path);
  } catch {
    return undefined;
  }
}

async function devicesOf(config: Config): Promise<DeviceStatus[]> {
  await using kernel = new Kernel();
  const lists = new Map<string, readonly LinkInfo[]>();
  for (const { namespace = '' } of config.devices) {
    if (lists.has(namespace)) continue;
    lists.set(namespace, await linksOf(kernel, namespace));
  }
  return config.devices.map((device) => {
    const links = lists.get(device.namespace ?? '') ?? [];
    return deviceStatus(
      device,
      links.find(({ name, altNames }) => name === device.name || altNames.includes(device.name)),
    );
  });
}

async function linksOf(kernel: Kernel, namespace: string): Promise<readonly LinkInfo[]> {
  if (namespace === '') return (await kernel.netlink()).links.list();
  const inode = namespaceInode(namespace);
  return inode === 0 ? [] : (await kernel.netlink({ name: namespace, inode })).links.list();
}

function deviceStatus({ name, namespace, kind }: DeviceConfig, link: LinkInfo | undefined): DeviceStatus {
  const known = link?.tun?.kind ?? link?.kind ?? kind;
  const {
    rxPackets = 0,
    rxBytes = 0,
    rxDropped = 0,
    txPackets = 0,
    txBytes = 0,
    txDropped = 0,
  } = link?.statistics ?? {};
  return {
    name,
    ...(namespace !== undefined && { namespace }),
    ...(known !== undefined && { kind: known }),
    exists: link !== undefined,
    up: link?.isUp ?? false,
    carrier: link?.isRunning ?? false,
    ...{ rxPackets, rxBytes, rxDropped, txPackets, txBytes, txDropped },
  };
}
