/** The configuration file: what may be in it, read with the place of every mistake, written again. */

export type {
  Config,
  DeviceConfig,
  DeviceKind,
  LinkConfig,
  MasqueradeConfig,
  NamespaceConfig,
  NeighbourConfig,
  PortConfig,
  RouteConfig,
  RuleConfig,
  SwitchConfig,
  TunnelConfig,
} from './config.ts';
export { configJsonSchema, configSchema } from './config-schema.ts';
export { formatConfig } from './format-config.ts';
export { inNamespace } from './in-namespace.ts';
export { joinOptionsOf, type LinkOptionsConfig, linkOptionFields } from './link-options.ts';
export { type ConfigMistake, formatMistake } from './mistake.ts';
export { type ParsedConfig, parseConfig } from './parse-config.ts';
export { DEFAULT_CONFIG_PATH, readConfig } from './read-config.ts';
export type { SwitchPortConfig, SwitchTreeConfig } from './switch-schema.ts';
