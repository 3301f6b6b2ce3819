/** Options of interfaces, bridges and their ports that `vnic create` and `vnic set` share, and what they mean. */

import { type Command, Option } from 'commander';

import type { BridgePortSettings, BridgeSettings } from '../netlink/index.ts';
import { decimalNumber, oneOf, option, parseOnOff, parseText, repeatableOption, wholeNumber } from './values.ts';

/** What `addBridgeOptions` parses. */
export interface BridgeOptions {
  readonly stp?: boolean;
  readonly ageingTime?: number;
  readonly forwardDelay?: number;
  readonly helloTime?: number;
  readonly maxAge?: number;
  readonly priority?: number;
  readonly vlanFiltering?: boolean;
  readonly multicastSnooping?: boolean;
}

/** What `addPortOptions` parses. */
export interface PortOptions {
  readonly portState?: BridgePortSettings['state'];
  readonly portCost?: number;
  readonly portPriority?: number;
  readonly isolated?: boolean;
  readonly learning?: boolean;
  readonly flood?: boolean;
  readonly hairpin?: boolean;
  readonly guard?: boolean;
}

/** What `addCommonLinkOptions` parses. */
export interface CommonLinkOptions {
  readonly master?: string | false;
  readonly altname?: readonly string[];
  readonly alias?: string;
}

const MAX_SECONDS = 42_949_672;

export function addCommonLinkOptions(command: Command): Command {
  return command
    .addOption(option('--master <interface>', 'make it a port of this bridge', parseText))
    .addOption(repeatableOption('--altname <name>', 'a further name, of up to 127 bytes', parseText))
    .addOption(new Option('--alias <text>', 'free text of up to 255 bytes'));
}

export function addBridgeOptions(command: Command): Command {
  const seconds = decimalNumber(0, MAX_SECONDS, 'seconds');
  return command
    .addOption(option('--stp <on|off>', 'of a bridge: spanning tree', parseOnOff))
    .addOption(option('--ageing-time <seconds>', 'of a bridge: until a learned address is forgotten', seconds))
    .addOption(option('--forward-delay <seconds>', 'of a bridge: until a new port forwards', seconds))
    .addOption(option('--hello-time <seconds>', 'of a bridge with STP', seconds))
    .addOption(option('--max-age <seconds>', 'of a bridge with STP', seconds))
    .addOption(option('--priority <number>', 'of a bridge with STP: lower becomes root', wholeNumber(0, 65_535)))
    .addOption(option('--vlan-filtering <on|off>', 'of a bridge: look at VLAN tags', parseOnOff))
    .addOption(
      option('--multicast-snooping <on|off>', 'of a bridge: send multicast where it is asked for', parseOnOff),
    );
}

export function addPortOptions(command: Command): Command {
  const states = ['disabled', 'listening', 'learning', 'forwarding', 'blocking'] as const;
  return command
    .addOption(option(`--port-state <${states.join('|')}>`, 'of a port', oneOf(...states)))
    .addOption(option('--port-cost <number>', 'of a port: STP path cost', wholeNumber(1, 65_535)))
    .addOption(option('--port-priority <number>', 'of a port: STP', wholeNumber(0, 63)))
    .addOption(option('--isolated <on|off>', 'of a port: no frames to other isolated ports', parseOnOff))
    .addOption(option('--learning <on|off>', 'of a port: learn addresses', parseOnOff))
    .addOption(option('--flood <on|off>', 'of a port: send frames for unknown addresses', parseOnOff))
    .addOption(option('--hairpin <on|off>', 'of a port: send back out of the port', parseOnOff))
    .addOption(option('--guard <on|off>', 'of a port: drop STP frames', parseOnOff));
}

/** Undefined when none of the options was given. */
export function bridgeSettings(options: BridgeOptions): BridgeSettings | undefined {
  const { stp, ageingTime, forwardDelay, helloTime, maxAge, priority, vlanFiltering, multicastSnooping } = options;
  return unlessEmpty({
    ...(stp !== undefined && { stp }),
    ...(ageingTime !== undefined && { ageingTimeSec: ageingTime }),
    ...(forwardDelay !== undefined && { forwardDelaySec: forwardDelay }),
    ...(helloTime !== undefined && { helloTimeSec: helloTime }),
    ...(maxAge !== undefined && { maxAgeSec: maxAge }),
    ...(priority !== undefined && { priority }),
    ...(vlanFiltering !== undefined && { vlanFiltering }),
    ...(multicastSnooping !== undefined && { multicastSnooping }),
  });
}

/** Undefined when none of the options was given. */
export function portSettings(options: PortOptions): BridgePortSettings | undefined {
  const { portState, portCost, portPriority, isolated, learning, flood, hairpin, guard } = options;
  return unlessEmpty({
    ...(portState !== undefined && { state: portState }),
    ...(portCost !== undefined && { cost: portCost }),
    ...(portPriority !== undefined && { priority: portPriority }),
    ...(isolated !== undefined && { isolated }),
    ...(learning !== undefined && { learning }),
    ...(flood !== undefined && { flood }),
    ...(hairpin !== undefined && { hairpin }),
    ...(guard !== undefined && { guard }),
  });
}

function unlessEmpty<T extends object>(settings: T): T | undefined {
  return Object.keys(settings).length === 0 ? undefined : settings;
}
