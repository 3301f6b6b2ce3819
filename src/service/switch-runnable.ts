/** Switches of the file as things that run, told in the words of `vnic switch --json`, and asked by the same commands. */

import { IpAddress, isVnicError } from '../base/index.ts';
import type { Config, SwitchConfig, SwitchPortConfig } from '../config/index.ts';
import { deviceOf, type EndSpec, parseEnd } from '../ends/index.ts';
import { parseImpairment, parseShape } from '../middleware/index.ts';
import type { PacketSwitchOptions, SwitchPortSettings } from '../switch/index.ts';
import type { Runnable, Running, RunningEvent, RunningStatus } from './runnable.ts';
import { openSwitchControl, type SwitchControl } from './switch-control.ts';
import { ownSwitchMac, querierOf, vlansOfPorts } from './switch-mac.ts';
import { type SwitchNote, SwitchOfEnds, type SwitchPortSpec, type SwitchStatus } from './switch-of-ends.ts';

const FIRST_DELAY_MS = 500;
const LAST_DELAY_MS = 30_000;

type NamedPort = SwitchPortSpec & { readonly name: string };

/** What a switch says while it runs: `detail` of its `RunnerStatus`. */
export type SwitchDetail = SwitchStatus;

/** The switches of a configuration. */
export function switchRunnables(config: Config): readonly Runnable[] {
  return config.switches.map((one) => {
    const { name, ...about } = one;
    const specs = one.ports.map(([, { end }]) => attaching(parseEnd(end), config));
    const attached = specs.map(({ mustExist = false }) => mustExist);
    return {
      kind: 'switch',
      name,
      identity: JSON.stringify({ about, attached }),
      about: { ...about, ports: Object.fromEntries(one.ports) },
      start: (_signal, tell) => start(one, specs, tell),
    };
  });
}

/** A device of the file is made by the file. */
function attaching(spec: EndSpec, { devices }: Config): EndSpec {
  const claim = deviceOf(spec);
  const isOfFile = devices.some(({ name, namespace = '' }) => name === claim?.name && namespace === claim.netns);
  return isOfFile ? { ...spec, mustExist: true } : spec;
}

async function start(
  config: SwitchConfig,
  specs: readonly EndSpec[],
  tell: (event: RunningEvent) => void,
): Promise<Running> {
  let control: SwitchControl | undefined;
  const onNote = (note: SwitchNote): void => {
    control?.note(note);
    tell(eventOf(note));
  };
  const running = new SwitchOfEnds({ ...optionsOf(config), onNote });
  try {
    control = await openSwitchControl(running, config.name);
    const ports = config.ports.map(([name, port], i) => portOf(name, port, specs[i] as EndSpec));
    for (const port of ports) await running.add(port);
    setMirrors(config, running);
    return new RunningSwitch(running, control, () => setMirrors(config, running), ports);
  } catch (error) {
    await control?.close();
    await running.close();
    throw error;
  }
}

function portOf(name: string, port: SwitchPortConfig, end: EndSpec): NamedPort {
  return {
    end,
    name,
    settings: settingsOf(port),
    ...(port.impair !== undefined && { impair: parseImpairment(port.impair) }),
    ...(port.shape !== undefined && { shape: parseShape(port.shape) }),
  };
}

/** Of those ports that are there. */
function setMirrors({ ports }: SwitchConfig, running: SwitchOfEnds): void {
  const numbers = new Map(running.status().ports.map(({ name, port }) => [name, port]));
  for (const [name, { mirror = [] }] of ports) {
    const to = numbers.get(name);
    const sources = mirror.flatMap((source) => numbers.get(source) ?? []);
    if (to === undefined || sources.length === 0) continue;
    running.setMirror(to, []);
    running.setMirror(
      to,
      sources.map((port) => ({ port, direction: 'both' as const })),
    );
  }
}

function optionsOf(config: SwitchConfig): PacketSwitchOptions {
  const { ports, stp, vlanProtocol, hub, ageing, stations, snooping, querier, dhcpSnooping, arpInspection } = config;
  const wantsVlans = ports.some(([, port]) => (port.access ?? port.trunk ?? port.tunnelPort) !== undefined);
  const vlanAware = wantsVlans || vlanProtocol !== undefined;
  const mac = ownSwitchMac();
  const vlans = vlansOfPorts(
    vlanAware,
    ports.map(([, port]) => settingsOf(port)),
  );
  return {
    vlanAware,
    ...((snooping || querier !== undefined) && {
      snooping: { ...(querier !== undefined && { querier: querierOf(mac, IpAddress.parse(querier), vlans) }) },
    }),
    ...((dhcpSnooping || arpInspection) && { inspection: { arp: arpInspection ?? false } }),
    ...(vlanProtocol !== undefined && { vlanProtocol }),
    ...(hub && { isHub: true }),
    ...(ageing !== undefined && { ageingMs: ageing * 1000 }),
    ...(stations !== undefined && { capacity: stations }),
    ...(stp !== undefined && { spanningTree: { mac, ...stp } }),
  };
}

function settingsOf(port: SwitchPortConfig): SwitchPortSettings {
  const {
    access,
    trunk,
    tunnelPort,
    isolated,
    storm,
    cost,
    priority,
    edge,
    bpduGuard,
    routerPort,
    fastLeave,
    trusted,
  } = port;
  return {
    ...(access !== undefined && { pvid: access }),
    ...(trunk !== undefined && { vlans: trunk === 'all' ? 'all' : trunk.split(',').map(Number) }),
    ...(tunnelPort !== undefined && { isTunnel: tunnelPort }),
    ...(isolated !== undefined && { isIsolated: isolated }),
    ...(storm !== undefined && { stormPacketsPerSec: storm }),
    ...(cost !== undefined && { pathCost: cost }),
    ...(priority !== undefined && { stpPriority: priority }),
    ...(edge !== undefined && { isEdge: edge }),
    ...(bpduGuard !== undefined && { bpduGuard }),
    ...(routerPort !== undefined && { isMulticastRouter: routerPort }),
    ...(fastLeave !== undefined && { fastLeave }),
    ...(trusted !== undefined && { isTrusted: trusted }),
  };
}

function eventOf(note: SwitchNote): RunningEvent {
  const { event, ...fields } = note;
  const told = { event, fields: 'error' in fields ? { ...fields, error: fields.error?.code } : fields };
  switch (note.event) {
    case 'port-added':
    case 'port-removed':
      return {
        ...told,
        level: 'info',
        message: `port ${note.name} was ${note.event === 'port-added' ? 'added' : 'removed'}`,
      };
    case 'port-gone':
      return { ...told, level: 'warn', message: `port ${note.name} is gone: ${note.error?.reason ?? 'it has ended'}` };
    case 'spanning-tree':
      return { ...told, level: 'info', message: `port ${note.name} is ${note.role}, ${note.state}` };
    case 'flapping':
      return { ...told, level: 'warn', message: `${note.mac} is at ports ${note.from} and ${note.port} in turn` };
    default: {
      const isBad = 'error' in note;
      const detail = isBad ? `: ${note.error.reason}` : 'peer' in note ? `: ${note.peer}` : '';
      return { ...told, level: isBad ? 'warn' : 'info', message: `${note.link}: ${event}${detail}` };
    }
  }
}

/** A port that is gone comes back when it can; the others notice nothing. */
class RunningSwitch implements Running {
  readonly label: string;
  readonly done: Promise<void>;
  readonly #running: SwitchOfEnds;
  readonly #control: SwitchControl;
  readonly #onBack: () => void;
  /** Ports that are gone, and why. */
  readonly #missing = new Map<string, string>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #end: () => void = () => undefined;

  constructor(running: SwitchOfEnds, control: SwitchControl, onBack: () => void, ports: readonly NamedPort[]) {
    this.#running = running;
    this.#control = control;
    this.#onBack = onBack;
    this.label = `switch of ${ports.length} ports`;
    this.done = new Promise((resolve) => {
      this.#end = resolve;
    });
    running.under.on('portGone', ({ port: { name }, error }) => {
      const port = ports.find((one) => one.name === name);
      if (port !== undefined) this.#awaitPort(port, error?.reason ?? 'it has ended', FIRST_DELAY_MS);
    });
  }

  status(): RunningStatus {
    const status = this.#running.status();
    const down = status.ports.find(({ isUp }) => !isUp);
    const [gone] = this.#missing;
    const reason = gone !== undefined ? `port ${gone[0]}: ${gone[1]}` : down && `port ${down.name} is down`;
    return { isUp: reason === undefined, ...(reason !== undefined && { reason }), detail: { ...status } };
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    await this.#control.close();
    await this.#running.close();
    this.#end();
  }

  #awaitPort(port: NamedPort, reason: string, delayMs: number): void {
    this.#missing.set(port.name, reason);
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#running.add(port).then(
        () => {
          this.#missing.delete(port.name);
          this.#onBack();
        },
        (error: unknown) => {
          if (!isVnicError(error)) throw error;
          this.#awaitPort(port, error.reason, Math.min(LAST_DELAY_MS, delayMs * 2));
        },
      );
    }, delayMs);
    this.#timers.add(timer);
  }
}
