/** What the files of a service are made of, and what the configuration makes them need. */

import { dirname } from 'node:path';

import type { Config } from '../config/index.ts';
import { claimsOf, type EndSpec, parseEnd } from '../ends/index.ts';

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
  /** Folders in which links make sockets: they must be writable. */
  readonly folders?: readonly string[];
}

const FIRST_FREE_PORT = 1024;

/** What a configuration needs. */
export function serviceNeeds(config: Config): ServiceNeeds {
  const parts = [config, ...Object.values(config.namespaces), ...config.devices];
  const ends = config.links.flatMap((link) => link.ends.map((text) => parseEnd(text)));
  const paths = ends.flatMap(pathOf);
  const claims = ends.flatMap(claimsOf);
  const folders = [
    // Where servers that are met for the first time are written down.
    ...(ends.some(({ kind, options }) => /^(tls|wss)/.test(kind) || options.has('tls')) ? ['/etc/vnic'] : []),
    ...claims.flatMap(({ protocol, host }) => (protocol === 'path' && host.startsWith('/') ? [dirname(host)] : [])),
  ];
  return {
    sysctls: parts.some(({ sysctls }) => Object.keys(sysctls).length > 0),
    namespaces:
      Object.keys(config.namespaces).length > 0 ||
      config.devices.some(({ namespace, peerNamespace }) => namespace !== undefined || peerNamespace !== undefined) ||
      ends.some(({ options }) => options.has('netns')),
    ...(ends.some(usesSockets) && { sockets: true }),
    ...(claims.some(({ port }) => port > 0 && port < FIRST_FREE_PORT) && { lowPorts: true }),
    ...(paths.length > 0 && { paths }),
    ...(folders.length > 0 && { folders: [...new Set(folders)] }),
  };
}

/** Ends that are in the process, devices, or sockets in the file system. */
function usesSockets({ kind, where }: EndSpec): boolean {
  return (
    !['tun', 'tap', 'echo', 'null', 'unix', 'unix-listen'].includes(kind) &&
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
