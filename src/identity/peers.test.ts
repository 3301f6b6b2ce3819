import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeEach, describe, expect, it } from 'vitest';

import { AuthorizedPeers, createIdentity, KnownPeers } from './index.ts';

const root = mkdtempSync(join(tmpdir(), 'vnic-peers-'));
const [one, other, third] = [1, 2, 3].map(() => createIdentity().fingerprint) as [string, string, string];
let folder = root;
let runs = 0;

beforeEach(() => {
  folder = join(root, String(++runs));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const known = (): KnownPeers => new KnownPeers(join(folder, 'known-peers'));
const authorized = (): AuthorizedPeers => new AuthorizedPeers(join(folder, 'authorized-peers'));
const text = (name: string): string => readFileSync(join(folder, name), 'utf8');

describe('known servers', () => {
  it('are new at first, known from then on, and changed with another key', async () => {
    expect(known().check('vpn.example:7000', one)).toBe('new');
    expect(readdirSync(root)).not.toContain(String(runs));
    expect(await known().pin('vpn.example:7000', one)).toBe('new');
    expect(await known().pin('VPN.example:7000', one)).toBe('known');
    expect(await known().pin('vpn.example:7000', other)).toBe('changed');
    expect(known().check('vpn.example:7001', other)).toBe('new');
    expect(known().list()).toEqual([
      { place: 'vpn.example:7000', fingerprint: one, comment: expect.anything(), line: 1 },
    ]);
    expect(statSync(join(folder, 'known-peers')).mode & 0o777).toBe(0o600);
  });

  it('say, of a changed key, both fingerprints, the file, the line, and what to do', async () => {
    await known().trust('a:1', third);
    expect(await known().trust('[2001:db8::1]:7000', one)).toBe('new');
    expect(await known().trust('[2001:db8::1]:7000', one)).toBe('known');
    const error = await known()
      .trust('[2001:db8::1]:7000', other)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'VNIC_PEER_CHANGED',
      exitStatus: 77,
      reason: expect.stringMatching(`${other}.*line 2 of ${folder}/known-peers has ${one}`),
      hint: expect.stringContaining('vnic identity forget [2001:db8::1]:7000'),
    });
    expect(known().check('[2001:db8::1]:7000', one)).toBe('known');
  });

  it('have a file that people edit: comments, blanks, nonsense and a missing last newline stay', async () => {
    await known().pin('x:1', one);
    const foreign = `# servers\n\n  y:2\t${other}   of Bob \nnonsense\nz:3 sha256:short\n#x:1 ${one}\nx:1 ${third}`;
    writeFileSync(join(folder, 'known-peers'), foreign);
    expect(known().list()).toEqual([
      { place: 'y:2', fingerprint: other, comment: 'of Bob', line: 3 },
      { place: 'x:1', fingerprint: third, comment: '', line: 7 },
    ]);
    await known().pin('new:1', one);
    expect(text('known-peers')).toMatch(new RegExp(`^${literally(foreign)}\nnew:1 ${one} [\\d-]+\n$`));
    expect(await known().forget('X:1')).toBe(1);
    expect(text('known-peers')).toContain(`#x:1 ${one}\nnew:1`);
    expect(await known().forget(other)).toBe(1);
    expect(await known().forget('nobody:1')).toBe(0);
    expect(
      known()
        .list()
        .map(({ place }) => place),
    ).toEqual(['new:1']);
    expect(text('known-peers')).toMatch(/^# servers\n\nnonsense\nz:3/);
  });

  it('may have several keys, of which any will do', async () => {
    await known().pin('x:1', one);
    writeFileSync(join(folder, 'known-peers'), `x:1 ${one}\nx:1 ${other}\n`);
    expect([one, other, third].map((key) => known().check('x:1', key))).toEqual(['known', 'known', 'changed']);
  });

  it('are all there when many write at once, and of two keys for a place one has won', async () => {
    const places = Array.from({ length: 20 }, (_, i) => `host-${i}:1`);
    await known().pin('gone:1', one);
    const results = await Promise.all([
      ...places.map((place) => known().pin(place, one)),
      known().forget('gone:1'),
      known().pin('race:1', one),
      known().pin('race:1', other),
    ]);
    expect(results.slice(-2).toSorted()).toEqual(['changed', 'new']);
    expect(
      known()
        .list()
        .map(({ place }) => place)
        .toSorted(),
    ).toEqual([...places, 'race:1'].toSorted());
    expect(readdirSync(folder).toSorted()).toEqual(['known-peers', 'known-peers.lock']);
  });

  it('are not believed when others may write the file', async () => {
    await known().pin('x:1', one);
    chmodSync(join(folder, 'known-peers'), 0o620);
    expect(() => known().check('x:1', one)).toThrow(expect.objectContaining({ code: 'VNIC_IDENTITY' }));
    await expect(known().pin('x:1', one)).rejects.toMatchObject({ code: 'VNIC_IDENTITY' });
  });
});

describe('authorized clients', () => {
  it('are those that were allowed, by name and fingerprint, until they are forgotten', async () => {
    expect(authorized().find(one)).toBeUndefined();
    expect(await authorized().allow(one, 'laptop of Ada')).toBe(true);
    expect(await authorized().allow(one, 'twice')).toBe(false);
    expect(await authorized().allow(other)).toBe(true);
    expect(authorized().find(one)).toEqual({ fingerprint: one, name: 'laptop of Ada', line: 1 });
    expect(text('authorized-peers')).toBe(`${one} laptop of Ada\n${other}\n`);
    expect(await authorized().forget('laptop of Ada')).toBe(1);
    expect(await authorized().forget(other)).toBe(1);
    expect(authorized().list()).toEqual([]);
  });

  it('cannot be what is no fingerprint, nor have a name of two lines', () => {
    expect(() => authorized().allow('sha256:abc')).toThrow(expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT' }));
    expect(() => authorized().allow(one, `x\n${other}`)).toThrow(
      expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT' }),
    );
  });
});

function literally(literal: string): string {
  return literal.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
