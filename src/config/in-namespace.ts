/** A configuration moved into a network namespace. */

import type { Config } from './config.ts';

/**
 * The configuration that asks of a namespace what this one asks of that of the process. What names a namespace itself
 * stays where it is, and so do links: the ends of each say where they are.
 * @param namespace name below `/run/netns`, or path
 */
export function inNamespace(config: Config, namespace: string): Config {
  const { devices, namespaces, sysctls, rules, masquerade, links, tunnels, switches } = config;
  const there = namespaces[namespace];
  return {
    devices: devices.map((device) => ({ namespace, ...device })),
    namespaces: {
      ...namespaces,
      [namespace]: {
        sysctls: { ...there?.sysctls, ...sysctls },
        rules: [...(there?.rules ?? []), ...rules],
        masquerade: [...(there?.masquerade ?? []), ...masquerade],
      },
    },
    sysctls: {},
    rules: [],
    masquerade: [],
    links,
    tunnels,
    switches,
  };
}
