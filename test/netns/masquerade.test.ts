/**
 * Masquerading by src/netlink, with `nft` as the witness of the rules and a server as the witness of the packets.
 *
 *   red (inside)            this namespace (router)             blue (outside)
 *   10.1.0.2, fd01::2  ═══  in0 10.1.0.1, fd01::1
 *                           out0 10.2.0.1, fd02::1  ═══  10.2.0.2, fd02::2, without a route back to 10.1 and fd01
 */

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';

import { afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';

import { Cidr } from '../../src/base/index.ts';
import { addMasquerade, listMasquerades, type MasqueradeSpec, removeMasquerade } from '../../src/netlink/index.ts';
import { writeForwarding } from '../../src/netns/index.ts';
import { codeOf, ip, ipJson, ipNames } from './iproute2.ts';
import { requirePrivateNetns } from './private-netns.ts';

interface NftRule {
  readonly expr: readonly Record<string, unknown>[];
}

const nft = (command: string): string => execFileSync('nft', [command], { encoding: 'utf8' });
const nftRules = (): NftRule[] =>
  (
    JSON.parse(execFileSync('nft', ['-j', 'list ruleset'], { encoding: 'utf8' })) as { nftables: { rule?: NftRule }[] }
  ).nftables
    .map(({ rule }) => rule)
    .filter((rule) => rule !== undefined);
const spec = (source: string, rest: Omit<MasqueradeSpec, 'source'> = {}): MasqueradeSpec => ({
  source: Cidr.parse(source),
  ...rest,
});

beforeAll(() => requirePrivateNetns());

afterEach(() => {
  nft('flush ruleset');
  for (const { name } of ipJson<{ name: string }>('netns list')) ip(`netns delete ${name}`);
  for (const name of ipNames()) if (name !== 'lo') spawnSync('ip', ['link', 'delete', name]);
  writeForwarding({ ipv4: false, ipv6: false });
});

describe('a masquerading rule', () => {
  const match = (protocol: string, right: unknown): unknown => ({
    match: { op: '==', left: { payload: { protocol, field: 'saddr' } }, right },
  });
  const leaves = (op: string, right: string): unknown => ({ match: { op, left: { meta: { key: 'oifname' } }, right } });
  const counter = { counter: { packets: 0, bytes: 0 } };
  const prefix = (addr: string, len: number): unknown => ({ prefix: { addr, len } });

  it.each([
    [spec('10.1.0.0/24', { notOut: 'tap0' }), [match('ip', prefix('10.1.0.0', 24)), leaves('!=', 'tap0')]],
    [spec('10.1.2.0/23', { out: 'eth0' }), [match('ip', prefix('10.1.2.0', 23)), leaves('==', 'eth0')]],
    [spec('10.1.0.7/32'), [match('ip', '10.1.0.7')]],
    [spec('fd01::/64', { notOut: 'tap0' }), [match('ip6', prefix('fd01::', 64)), leaves('!=', 'tap0')]],
    [
      spec('fd01:0:0:8000::/49', { out: 'a-name-of-15-by' }),
      [match('ip6', prefix('fd01:0:0:8000::', 49)), leaves('==', 'a-name-of-15-by')],
    ],
    [spec('fd01::7/128'), [match('ip6', 'fd01::7')]],
  ])('for %o is what `nft` reads, and is read back', async (one, expected) => {
    await addMasquerade(one);
    const [rule, ...rest] = nftRules();
    expect(rule?.expr).toEqual([...expected, counter, { masquerade: null }]);
    expect(rest).toEqual([]);
    expect(nft('list table inet vnic')).toContain('type nat hook postrouting priority srcnat; policy accept;');
    expect(await listMasquerades()).toEqual([{ ...one, packets: 0, bytes: 0 }]);
    expect(await codeOf(() => addMasquerade(one))).toBe('VNIC_RULE_EXISTS');
    await removeMasquerade(one);
    expect([nftRules(), nft('list ruleset')]).toEqual([[], '']);
    expect(await codeOf(() => removeMasquerade(one))).toBe('VNIC_NO_SUCH_RULE');
  });

  it('for everything of a family is told from one of the other', async () => {
    await addMasquerade(spec('0.0.0.0/0', { out: 'eth0' }));
    await addMasquerade(spec('::/0', { out: 'eth0' }));
    expect(nftRules().map(({ expr }) => expr[0])).toEqual(
      ['ipv4', 'ipv6'].map((right) => ({ match: { op: '==', left: { meta: { key: 'nfproto' } }, right } })),
    );
    await removeMasquerade(spec('0.0.0.0/0', { out: 'eth0' }));
    expect((await listMasquerades()).map(({ source }) => source.toString())).toEqual(['::/0']);
  });

  it('that `nft` puts into the table is read, or left alone with the table', async () => {
    await addMasquerade(spec('10.1.0.0/24'));
    nft('add rule inet vnic postrouting ip saddr 10.9.0.0/18 oifname "eth9" counter masquerade');
    nft('add rule inet vnic postrouting tcp dport 25 drop');
    nft('add table inet other');
    expect((await listMasquerades()).map(({ source, out }) => [source.toString(), out])).toEqual([
      ['10.1.0.0/24', undefined],
      ['10.9.0.0/18', 'eth9'],
    ]);
    await removeMasquerade(spec('10.1.0.0/24'));
    await removeMasquerade(spec('10.9.0.0/18', { out: 'eth9' }));
    expect(nft('list table inet vnic')).toContain('tcp dport 25 drop');
    nft('delete table inet vnic');
    expect(nft('list ruleset')).toBe('table inet other {\n}\n');
  });

  it('is added by several at once, each once', async () => {
    const sources = Array.from({ length: 8 }, (_, i) => `10.${i}.0.0/16`);
    await Promise.all(sources.map((source) => addMasquerade(spec(source))));
    expect((await listMasquerades()).map(({ source }) => source.toString()).toSorted()).toEqual(sources);
    await Promise.all(sources.map((source) => removeMasquerade(spec(source))));
    expect(nft('list ruleset')).toBe('');
  });

  it('that makes no sense is refused', async () => {
    expect(await codeOf(() => addMasquerade(spec('10.1.0.1/24')))).toBe('VNIC_INVALID_ARGUMENT');
    expect(await codeOf(() => addMasquerade(spec('10.1.0.0/24', { out: 'a', notOut: 'b' })))).toBe(
      'VNIC_INVALID_ARGUMENT',
    );
    expect(await codeOf(() => addMasquerade(spec('10.1.0.0/24', { out: 'a b' })))).toBe('VNIC_INVALID_NAME');
    expect(await codeOf(() => addMasquerade(spec('10.1.0.0/24'), { netns: 'nowhere' }))).toBe('VNIC_NO_SUCH_NAMESPACE');
    expect(nft('list ruleset')).toBe('');
  });

  it('without CAP_NET_ADMIN is refused as a matter of privilege', () => {
    const script = `
      import { Cidr } from '${new URL('../../dist/base/index.js', import.meta.url).href}';
      import { addMasquerade, listMasquerades } from '${new URL('../../dist/netlink/index.js', import.meta.url).href}';
      const codes = [listMasquerades(), addMasquerade({ source: Cidr.parse('10.0.0.0/8') })];
      console.log((await Promise.allSettled(codes)).map(({ reason }) => reason.code).join(' '));
    `;
    const run = ['--user', '--', process.execPath, '--input-type=module', '--eval', script];
    expect(execFileSync('unshare', run, { encoding: 'utf8' })).toBe('VNIC_NO_PRIVILEGE VNIC_NO_PRIVILEGE\n');
  });
});

describe('a device behind masquerading', () => {
  it.each([
    ['IPv4', 'udp4', '10.1.0.0/24', '10.2.0.2', '10.2.0.1'],
    ['IPv6', 'udp6', 'fd01::/64', 'fd02::2', 'fd02::1'],
  ])('reaches by %s a machine that has no route back', async (_family, type, source, server, router) => {
    makeTopology();
    writeForwarding({ ipv4: true, ipv6: true });
    await addMasquerade(spec(source, { notOut: 'in0' }));
    const listening = startIn('blue', udpServer, type, server);
    await once(listening.stdout, 'data');
    const seen = execFileSync('ip', ['netns', 'exec', 'red', process.execPath, '--eval', udpClient, type, server], {
      encoding: 'utf8',
      timeout: 20_000,
    });
    expect(seen.trim()).toBe(router);
    const [rule] = await listMasquerades();
    expect(rule?.packets).toBe(1);
  });
});

/** Answers each datagram with the address that it came from. */
const udpServer = `
  const socket = require('node:dgram').createSocket(process.argv[1]);
  socket.on('message', (_, from) => socket.send(from.address, from.port, from.address));
  socket.bind(4000, process.argv[2], () => console.log('ready'));
`;
const udpClient = `
  const socket = require('node:dgram').createSocket(process.argv[1]);
  const ask = () => socket.send('who am I', 4000, process.argv[2]);
  const again = setInterval(ask, 200);
  socket.on('message', (answer) => { console.log(String(answer)); clearInterval(again); socket.close(); });
  ask();
`;

function startIn(
  netns: string,
  script: string,
  ...args: string[]
): ReturnType<typeof spawn> & { stdout: NodeJS.ReadableStream } {
  const child = spawn('ip', ['netns', 'exec', netns, process.execPath, '--eval', script, ...args], { stdio: 'pipe' });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

function makeTopology(): void {
  const networks = { red: ['in0', '1'], blue: ['out0', '2'] } as const;
  for (const [netns, [near, n]] of Object.entries(networks)) {
    ip(`netns add ${netns}`);
    ip(`link add ${near} type veth peer name eth0 netns ${netns}`);
    for (const [prefix, name] of [
      ['', near],
      [`-n ${netns} `, 'eth0'],
    ] as const) {
      const host = prefix === '' ? 1 : 2;
      ip(`${prefix}addr add 10.${n}.0.${host}/24 dev ${name}`);
      ip(`${prefix}addr add fd0${n}::${host}/64 dev ${name} nodad`);
      ip(`${prefix}link set ${name} up`);
    }
  }
  ip('-n red route add default via 10.1.0.1');
  ip('-n red route add default via fd01::1');
}
