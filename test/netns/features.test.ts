/** Features of links, read back by ethtool. */

import { execFileSync } from 'node:child_process';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';

import { getLinkSync, readFeaturesSync, wantFeaturesSync } from '../../src/netlink/index.ts';
import { requirePrivateNetns } from './private-netns.ts';

beforeAll(() => requirePrivateNetns());

const run = (command: string, ...args: string[]): string => execFileSync(command, args, { encoding: 'utf8' });
const NAME = 'feat0';

afterEach(() => {
  if (getLinkSync(NAME) !== undefined) run('ip', 'link', 'delete', NAME);
});

/** Names of single features, without the groups that ethtool makes of them, and what it says of each. */
function ethtoolFeatures(name: string): Map<string, string> {
  // Groups and features that ethtool shows under an old name.
  const old = new Map([
    ['rx-checksumming', 'rx-checksum'],
    ['generic-segmentation-offload', 'tx-generic-segmentation'],
    ['generic-receive-offload', 'rx-gro'],
    ['large-receive-offload', 'rx-lro'],
    ['rx-vlan-offload', 'rx-vlan-hw-parse'],
    ['tx-vlan-offload', 'tx-vlan-hw-insert'],
    ['ntuple-filters', 'rx-ntuple-filter'],
    ['receive-hashing', 'rx-hashing'],
  ]);
  const groups = ['tx-checksumming', 'scatter-gather', 'tcp-segmentation-offload'];
  const found = new Map<string, string>();
  for (const line of run('ethtool', '-k', name).split('\n').slice(1)) {
    const [label, said] = line.trim().split(': ') as [string, string | undefined];
    if (said !== undefined && !groups.includes(label)) found.set(old.get(label) ?? label, said);
  }
  return found;
}

const links: [string, string[]][] = [
  ['loopback', []],
  ['tun', ['tuntap', 'add', 'dev', NAME, 'mode', 'tun']],
  ['tap', ['tuntap', 'add', 'dev', NAME, 'mode', 'tap']],
  ['veth', ['link', 'add', NAME, 'type', 'veth']],
  ['bridge', ['link', 'add', NAME, 'type', 'bridge']],
];

describe('features', () => {
  it.each(links)('are those that ethtool shows of a %s', (_, args) => {
    if (args.length > 0) run('ip', ...args);
    const name = args.length > 0 ? NAME : 'lo';
    const { active, wanted } = readFeaturesSync(name);
    const shown = ethtoolFeatures(name);
    expect([...active].sort()).toEqual(
      [...shown]
        .filter(([, said]) => said.startsWith('on'))
        .map(([one]) => one)
        .sort(),
    );
    const requested = [...shown].filter(([, said]) => said === 'off [requested on]').map(([one]) => one);
    expect(requested.every((one) => wanted.has(one) && !active.has(one))).toBe(true);
  });

  it('are read by name and by index alike', () => {
    expect(readFeaturesSync(1)).toEqual(readFeaturesSync('lo'));
  });

  it('are wanted and no longer, those that are not named left alone', () => {
    run('ip', 'link', 'add', NAME, 'type', 'veth');
    const before = readFeaturesSync(NAME);
    wantFeaturesSync(
      NAME,
      new Map([
        ['tx-tcp6-segmentation', false],
        ['tx-udp-segmentation', true],
      ]),
    );
    const { active, wanted } = readFeaturesSync(NAME);
    expect([...before.wanted].filter((name) => !wanted.has(name))).toEqual(['tx-tcp6-segmentation']);
    expect([...before.active].filter((name) => !active.has(name))).toEqual(['tx-tcp6-segmentation']);
    expect(ethtoolFeatures(NAME).get('tx-tcp6-segmentation')).toBe('off');
    wantFeaturesSync(NAME, new Map([['tx-tcp6-segmentation', true]]));
    expect(readFeaturesSync(NAME)).toEqual(before);
  });

  it('are refused by their true cause', () => {
    expect(() => readFeaturesSync('none0')).toThrow(expect.objectContaining({ code: 'VNIC_NO_SUCH_INTERFACE' }));
    expect(() => readFeaturesSync(4711)).toThrow(expect.objectContaining({ code: 'VNIC_NO_SUCH_INTERFACE' }));
    expect(() => readFeaturesSync('')).toThrow(expect.objectContaining({ code: 'VNIC_INVALID_NAME' }));
    expect(() => wantFeaturesSync('lo', new Map([['no-such-feature', true]]))).toThrow(
      expect.objectContaining({ code: 'VNIC_UNSUPPORTED', reason: 'bit name not found' }),
    );
    const entry = new URL('../../dist/netlink/index.js', import.meta.url).href;
    const code = `import { readFeaturesSync, wantFeaturesSync } from '${entry}';
      const read = readFeaturesSync('lo').active.size > 0;
      try { wantFeaturesSync('lo', new Map([['tx-tcp6-segmentation', false]])); }
      catch ({ code, errno }) { console.log(read, code, errno); }`;
    const drop = ['--inh-caps=-all', '--bounding-set=-all', '--'];
    expect(run('setpriv', ...drop, process.execPath, '--input-type=module', '-e', code)).toBe(
      'true VNIC_NO_PRIVILEGE EPERM\n',
    );
  });
});
