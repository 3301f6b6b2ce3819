/** What an import gives: a configuration, and everything that it could not carry over. */

import type { Config, DeviceConfig } from '../config/index.ts';

/** A file to import. */
export interface SourceFile {
  /** For notes, and for what the name says (`.netdev`, `.network`). */
  readonly path: string;
  readonly text: string;
}

/** Something that was not carried over, or only in part. */
export interface ImportNote {
  readonly path: string;
  /** Counted from 1. */
  readonly line: number;
  readonly message: string;
}

/** The result of an import. */
export interface ImportedConfig {
  readonly config: Config;
  /** In the order of the files. */
  readonly notes: readonly ImportNote[];
}

/** A device under construction. */
export type DraftDevice = { -readonly [Key in keyof DeviceConfig]: DeviceConfig[Key] } & {
  addresses: string[];
  routes: DeviceConfig['routes'][number][];
};

/** A device of which only the name is known. */
export function draftDevice(name: string): DraftDevice {
  return { id: name, name, altNames: [], addresses: [], routes: [], neighbours: [], sysctls: {} };
}

/** A configuration of devices alone. */
export function configOf(devices: readonly DeviceConfig[]): Config {
  return { devices, namespaces: {}, sysctls: {}, rules: [], masquerade: [], links: [], tunnels: [], switches: [] };
}
