/** The options of `vnic tunnel`, and what both sides make of them. */

import { readFileSync } from 'node:fs';

import { type Cidr, VnicError } from '../base/index.ts';
import type { Identity } from '../identity/index.ts';
import type { TunnelClientEntry, TunnelDeviceOptions } from '../tunnel/index.ts';

/** Options of both sides, and those of one. */
export interface TunnelOptions {
  readonly tap?: true;
  readonly name?: string;
  readonly deviceNetns?: string;
  readonly bridge?: string;
  readonly address?: readonly Cidr[];
  readonly route?: readonly Cidr[];
  readonly mtu?: number;
  readonly cert?: string;
  readonly key?: string;
  readonly ca?: string;
  readonly insecure?: true;
  readonly offload?: 'on' | 'off';
  readonly client?: readonly TunnelClientEntry[];
  readonly allow?: readonly string[];
  readonly anyone?: true;
  readonly maxClients?: number;
  readonly keepAlive?: number;
  readonly forwarding?: true;
  readonly nat?: true;
  readonly pin?: readonly string[];
  readonly servername?: string;
  readonly as?: string;
  readonly routes?: boolean;
  readonly defaultRoute?: true;
  readonly killSwitch?: true;
  readonly once?: true;
  readonly quiet?: true;
  readonly json?: true;
}

/** The device that is asked for. */
export function deviceFrom({ tap, name, deviceNetns, bridge }: TunnelOptions): TunnelDeviceOptions {
  return {
    kind: tap ? 'tap' : 'tun',
    ...(name !== undefined && { name }),
    ...(deviceNetns !== undefined && { netns: deviceNetns }),
    ...(bridge !== undefined && { bridge }),
  };
}

/** The given certificate with its key. @throws VNIC_IDENTITY */
export async function identityFrom({ cert, key }: TunnelOptions): Promise<{ readonly identity?: Identity }> {
  if (cert === undefined || key === undefined) return {};
  const { readIdentity } = await import('../identity/index.ts');
  return { identity: readIdentity({ certificateFile: cert, keyFile: key }) };
}

/** The certificates of authorities in a file. @throws VNIC_IDENTITY */
export function authoritiesFrom(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new VnicError('VNIC_IDENTITY', {
      attempted: `read the certificates in ${path}`,
      reason: cause instanceof Error ? cause.message : String(cause),
      hint: 'Give --ca the path of a PEM file.',
      cause,
    });
  }
}
