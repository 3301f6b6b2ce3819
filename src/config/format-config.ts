/** Configuration to text: what is left out when it is read stays out when it is written. */

import { stringify } from 'yaml';

import type { Config, DeviceConfig } from './config.ts';

/** YAML that `parseConfig` reads as the same configuration. */
export function formatConfig(config: Config): string {
  const { devices, namespaces, sysctls, rules, masquerade, links, tunnels, switches } = config;
  const document = {
    ...(devices.length > 0 && {
      devices: Object.fromEntries(devices.map((device) => [device.id, deviceFields(device)])),
    }),
    ...(Object.keys(namespaces).length > 0 && { namespaces: mapValues(namespaces, withoutEmpty) }),
    ...withoutEmpty({ sysctls }),
    ...(rules.length > 0 && { rules }),
    ...(masquerade.length > 0 && { masquerade }),
    ...(tunnels.length > 0 && {
      tunnels: Object.fromEntries(
        tunnels.map(({ name, clients, ...tunnel }) => [
          name,
          { ...tunnel, ...(clients !== undefined && { clients: Object.fromEntries(clients) }) },
        ]),
      ),
    }),
    ...(switches.length > 0 && {
      switches: Object.fromEntries(
        switches.map(({ name, ports, ...one }) => [name, { ports: Object.fromEntries(ports), ...one }]),
      ),
    }),
    ...(links.length > 0 && { links: Object.fromEntries(links.map(({ name, ...link }) => [name, link])) }),
  };
  return Object.keys(document).length === 0 ? '{}\n' : stringify(document, { lineWidth: 0 });
}

function deviceFields({ id, name, up, routes, ...device }: DeviceConfig): object {
  const fields = Object.entries(device).filter(([, value]) => !isEmpty(value));
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
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => !isEmpty(value)));
}

function mapValues(record: object, convert: (value: object) => object): object {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, convert(value as object)]));
}

function isEmpty(value: unknown): boolean {
  return value === undefined || (typeof value === 'object' && value !== null && Object.keys(value).length === 0);
}
