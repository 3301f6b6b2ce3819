/** What the files of a service are made of, and what the configuration makes them need. */

import { dirname } from 'node:path';

import type { Config, TunnelConfig } from '../config/index.ts';
import { claimsOf, type EndSpec, parseEnd, parseTunnelWhere } from '../ends/index.ts';

/** What goes into a unit or an init script. */
export interface ServiceFileOptions {
  /** Absolute path of the program and its arguments before the sub-command: `/usr/bin/node …/main.js`. */
  readonly command: readonly string[];
  /** Absolute path of the configuration file. */
  readonly config: string;
  /** Devices and all else stay when the service stops. */
  readonly keep: boolean;
  readonly needs: ServiceNeeds;
}

/** Rights beyond CAP_NET_ADMIN that a configuration takes. */
export interface ServiceNeeds {
  /** Kernel settings: `/proc/sys` must be writable. */
  readonly sysctls: boolean;
  /** Network namespaces with names: CAP_SYS_ADMIN, and mounts that others see. */
  readonly namespaces: boolean;
  /** Links that leave the machine, or programs that may: IPv4 and IPv6 sockets. */
  readonly sockets?: boolean;
  /** Ports below 1024: CAP_NET_BIND_SERVICE. */
  readonly lowPorts?: boolean;
  /** Paths of Unix sockets that links connect to or listen on. */
  readonly paths?: readonly string[];
  /** Folders in which links make sockets or files: they must be writable. */
  readonly folders?: readonly string[];
  /** Existing interfaces as ends: AF_PACKET and CAP_NET_RAW. */
  readonly packets?: boolean;
  /** Serial lines, by their paths below `/dev`. */
  readonly lines?: readonly string[];
}

const FIRST_FREE_PORT = 1024;

/** What a configuration needs. */
export function serviceNeeds(config: Config): ServiceNeeds {
  const parts = [config, ...Object.values(config.namespaces), ...config.devices];
  const written = [
    ...config.links.flatMap(({ ends }) => ends),
    ...config.switches.flatMap(({ ports }) => ports.map(([, { end }]) => end)),
  ];
  const ends = written.map((text) => parseEnd(text));
  const paths = ends.flatMap(pathOf);
  const claims = ends.flatMap(claimsOf);
  const tunnels = config.tunnels.map(tunnelNeeds);
  const folders = [
    // Where servers that are met for the first time are written down.
    ...(ends.some(({ kind, options }) => /^(tls|wss)/.test(kind) || options.has('tls')) ? ['/etc/vnic'] : []),
    ...(tunnels.some(({ isSecure }) => isSecure) ? ['/etc/vnic'] : []),
    ...claims.flatMap(({ protocol, host }) => (protocol === 'path' && host.startsWith('/') ? [dirname(host)] : [])),
    ...ends.flatMap(folderOf),
  ];
  const lines = ends.flatMap(({ kind, where }) => (kind === 'serial' ? [where.replace(/@[0-9]+$/, '')] : []));
  const ports = [...claims.map(({ port }) => port), ...tunnels.map(({ port }) => port)];
  return {
    sysctls: parts.some(({ sysctls }) => Object.keys(sysctls).length > 0) || tunnels.some(({ sysctls }) => sysctls),
    namespaces:
      Object.keys(config.namespaces).length > 0 ||
      config.devices.some(({ namespace, peerNamespace }) => namespace !== undefined || peerNamespace !== undefined) ||
      ends.some(({ options }) => options.has('netns')),
    ...((ends.some(usesSockets) || tunnels.length > 0) && { sockets: true }),
    ...(ports.some((port) => port > 0 && port < FIRST_FREE_PORT) && { lowPorts: true }),
    ...(paths.length > 0 && { paths }),
    ...(folders.length > 0 && { folders: [...new Set(folders)] }),
    ...(ends.some(({ kind }) => kind === 'if') && { packets: true }),
    ...(lines.length > 0 && { lines }),
  };
}

/** What a tunnel takes: a port to listen on, kernel settings, keys. */
function tunnelNeeds({ listen, connect, forwarding, masquerade }: TunnelConfig): {
  readonly port: number;
  readonly sysctls: boolean;
  readonly isSecure: boolean;
} {
  const { carrier, port } = parseTunnelWhere(listen ?? connect ?? '', listen === undefined ? 'connect' : 'listen');
  const sysctls = forwarding === true || masquerade === true;
  return { port: listen === undefined ? 0 : port, sysctls, isSecure: carrier !== 'udp' };
}

/** Where an end makes a file: what it records, or the socket by which a switch or QEMU answers. */
function folderOf({ kind, where, options }: EndSpec): string[] {
  if (kind === 'pcap' && options.has('record') && where.startsWith('/')) return [dirname(where)];
  if (kind === 'vde') return where.startsWith('/') ? [where] : [];
  const local = kind === 'qemu-dgram' ? options.get('local')?.at(-1) : undefined;
  return local?.startsWith('/') ? [dirname(local)] : [];
}

/** Ends that are in the process, devices, or sockets in the file system. */
function usesSockets({ kind, where }: EndSpec): boolean {
  return (
    !['tun', 'tap', 'if', 'pcap', 'pair', 'serial', 'vde', 'echo', 'null', 'unix', 'unix-listen'].includes(kind) &&
    !(where.startsWith('/') && !where.startsWith('//'))
  );
}

function pathOf({ kind, where }: EndSpec): string[] {
  return kind !== 'exec' && where.startsWith('/') && !where.startsWith('//') ? [where] : [];
}

/** The arguments of the command that keeps the state. */
export function runArguments({ command, config, keep }: ServiceFileOptions): string[] {
  return [...command, 'run', '--file', config, ...(keep ? ['--keep'] : [])];
}
