/** Configuration to text: what is left out when it is read stays out when it is written. */

import { stringify } from 'yaml';

import type { Config, DeviceConfig } from './config.ts';

/** YAML that `parseConfig` reads as the same configuration. */
export function formatConfig(config: Config): string {
  const { devices, namespaces, sysctls, rules, masquerade } = config;
  const document = {
    ...(devices.length > 0 && {
      devices: Object.fromEntries(devices.map((device) => [device.id, deviceFields(device)])),
    }),
    ...(Object.keys(namespaces).length > 0 && { namespaces: mapValues(namespaces, withoutEmpty) }),
    ...withoutEmpty({ sysctls }),
    ...(rules.length > 0 && { rules }),
    ...(masquerade.length > 0 && { masquerade }),
  };
  return Object.keys(document).length === 0 ? '{}\n' : stringify(document, { lineWidth: 0 });
}

function deviceFields({ id, name, up, routes, ...device }: DeviceConfig): object {
  const fields = Object.entries(device).filter(([key, value]) => !isDefault(key, value));
  const short = routes.map((route) => (Object.keys(route).length === 1 && !route.to.endsWith('/0') ? route.to : route));
  return {
    ...(name !== id && { name }),
    ...Object.fromEntries(fields),
    ...(routes.length > 0 && { routes: short }),
    // What holds when it is left out.
    ...(up !== undefined && !(up && device.kind !== undefined) && { up }),
  };
}

function withoutEmpty(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([key, value]) => !isDefault(key, value)));
}

function mapValues(record: object, convert: (value: object) => object): object {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, convert(value as object)]));
}

function isDefault(key: string, value: unknown): boolean {
  if (value === undefined || (value === false && offByDefault.includes(key))) return true;
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

const offByDefault: readonly string[] = ['multiQueue', 'vnetHeader', 'packetInfo'];
