/** Configuration to text: what is left out when it is read stays out when it is written. */

import { stringify } from 'yaml';

import type { Config, DeviceConfig } from './config.ts';

/** YAML that `parseConfig` reads as the same configuration. */
export function formatConfig(config: Config): string {
  const { devices, sysctls, rules, masquerade } = config;
  const document = {
    ...(devices.length > 0 && {
      devices: Object.fromEntries(devices.map((device) => [device.name, deviceFields(device)])),
    }),
    ...(Object.keys(sysctls).length > 0 && { sysctls }),
    ...(rules.length > 0 && { rules }),
    ...(masquerade.length > 0 && { masquerade }),
  };
  return Object.keys(document).length === 0 ? '{}\n' : stringify(document, { lineWidth: 0 });
}

function deviceFields({ name: _, up, routes, ...device }: DeviceConfig): object {
  const fields = Object.entries(device).filter(([key, value]) => !isDefault(key, value));
  const short = routes.map((route) => (Object.keys(route).length === 1 && !route.to.endsWith('/0') ? route.to : route));
  return {
    ...Object.fromEntries(fields),
    ...(routes.length > 0 && { routes: short }),
    // What holds when it is left out.
    ...(up !== undefined && !(up && device.kind !== undefined) && { up }),
  };
}

function isDefault(key: string, value: unknown): boolean {
  if (value === undefined || (value === false && offByDefault.includes(key))) return true;
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

const offByDefault: readonly string[] = ['multiQueue', 'vnetHeader', 'packetInfo'];
