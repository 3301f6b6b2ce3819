/** What the tests of desired state share: configurations as text, and the kernel as `ip` shows it. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { onTestFinished } from 'vitest';

import type { Config } from '../../src/config/index.ts';
import { formatMistake, parseConfig } from '../../src/config/index.ts';
import { ip, ipJson } from './iproute2.ts';

/** A configuration without mistakes. */
export function configOf(text: string): Config {
  const { config, mistakes } = parseConfig(text);
  if (config === undefined) throw new Error(mistakes.map((mistake) => formatMistake('test', mistake)).join('\n'));
  return config;
}

/** A folder for journals, and the name of a file that need not exist. */
export function freshFolder(): { readonly folder: string; readonly path: string } {
  const folder = mkdtempSync(join(tmpdir(), 'vnic-state-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return { folder, path: join(folder, 'vnic.yaml') };
}

/**
 * Everything that `ip` shows of interfaces whose name begins so, except what comes by itself a while after a change:
 * carrier and bridge port states, timers, link-local addresses and the routes of multicast.
 * @param without keys that do not count
 */
export function dump(prefix = '', without: readonly string[] = []): string {
  const links = ipJson<Row>('-d link').filter(({ ifname }) => String(ifname).startsWith(prefix));
  const addresses = ipJson<Row>('addr').filter(({ ifname }) => String(ifname).startsWith(prefix));
  const routes = [...ipJson<Row>('-4 route show table all'), ...ipJson<Row>('-6 route show table all')].filter(
    ({ dev, dst }) => String(dev).startsWith(prefix) && !/^(fe80|ff00)/.test(String(dst)),
  );
  const neighbours = ipJson<Row>('neigh show nud permanent').filter(({ dev }) => String(dev).startsWith(prefix));
  const settled = (key: string, value: unknown): unknown => {
    if (without.includes(key) || key.endsWith('_timer') || ['operstate', 'state', 'tentative'].includes(key)) return;
    if (!Array.isArray(value)) return value;
    if (key === 'flags')
      return value.filter((flag) => !['NO-CARRIER', 'LOWER_UP', 'M-DOWN', 'linkdown'].includes(flag));
    return key === 'addr_info' ? value.filter(({ scope, family }) => !(scope === 'link' && family === 'inet6')) : value;
  };
  const sorted = (rows: readonly Row[]): Row[] => rows.toSorted((x, y) => (nameOf(x) < nameOf(y) ? -1 : 1));
  return JSON.stringify(
    {
      links: sorted(links),
      addresses: sorted(addresses),
      routes,
      neighbours,
      rules: [ipJson('rule'), ipJson('-6 rule')],
    },
    settled,
    1,
  );
}

type Row = Record<string, unknown>;

function nameOf({ ifname }: Row): string {
  return String(ifname);
}

/** Removes every interface but the loopback, every namespace, rule and setting of a test. */
export function wipe(): void {
  for (const { name } of ipJson<{ name: string }>('netns list')) ip(`netns delete ${name}`);
  for (const { ifname } of ipJson<{ ifname: string }>('link')) {
    if (ifname === 'lo') continue;
    try {
      ip(`link delete ${ifname}`);
    } catch {
      // The other end of a pair went first.
    }
  }
  for (const family of ['-4', '-6']) {
    for (const { priority } of ipJson<{ priority: number }>(`${family} rule`)) {
      if (priority !== 0 && priority < 32_766) ip(`${family} rule del priority ${priority}`);
    }
  }
  execFileSync('nft', ['flush', 'ruleset']);
  execFileSync('sysctl', ['-qw', 'net.ipv4.ip_default_ttl=64']);
}
