/** What the files of a service are made of, and what the configuration makes them need. */

import type { Config } from '../config/index.ts';

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
}

/** What a configuration needs. */
export function serviceNeeds(config: Config): ServiceNeeds {
  const parts = [config, ...Object.values(config.namespaces), ...config.devices];
  return {
    sysctls: parts.some(({ sysctls }) => Object.keys(sysctls).length > 0),
    namespaces:
      Object.keys(config.namespaces).length > 0 ||
      config.devices.some(({ namespace, peerNamespace }) => namespace !== undefined || peerNamespace !== undefined),
  };
}

/** The arguments of the command that keeps the state. */
export function runArguments({ command, config, keep }: ServiceFileOptions): string[] {
  return [...command, 'run', '--file', config, ...(keep ? ['--keep'] : [])];
}
