/** Packets in Unix datagrams: the link conformance suite, and what becomes of paths and peers that come and go. */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { nativeCore } from '../../src/native/index.ts';
import { joinedLinksHarness, type LinkHarness, linkConformanceCases } from '../../src/testing/index.ts';
import { DatagramLink, openDatagramPeer } from '../../src/transport/index.ts';
import { bindUnixDatagram } from '../../src/transport/unix-datagram.ts';

function freshFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'vnic-dgram-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function openLink(local: string, remote: string): DatagramLink {
  const link = new DatagramLink({ name: local, medium: 'ethernet', keep: true });
  link.attach(openDatagramPeer({ local, remote, probeMs: 10, onPeer: (isThere) => link.noteUp(isThere) }));
  return link;
}

async function pair(folder = freshFolder()): Promise<[DatagramLink, DatagramLink]> {
  const paths = [join(folder, 'a'), join(folder, 'b')] as const;
  const a = openLink(paths[0], paths[1]);
  const up = new Promise<void>((resolve) => a.on('up', resolve));
  const b = openLink(paths[1], paths[0]);
  onTestFinished(async () => {
    await a.close();
    await b.close();
  });
  await up;
  return [a, b];
}

describe('two Unix datagram sockets', () => {
  const cases = linkConformanceCases.filter(({ needs }) => needs !== 'remove');
  it.each(cases)('$title', ({ run }) =>
    run(async (): Promise<LinkHarness> => joinedLinksHarness(...(await pair()), { removable: false })),
  );
});

describe('what comes', () => {
  it('is left out and counted where it is no frame', async () => {
    const folder = freshFolder();
    const link = openLink(join(folder, 'a'), join(folder, 'b'));
    const peer = bindUnixDatagram(join(folder, 'b'));
    onTestFinished(async () => {
      peer.close();
      await link.close();
    });
    expect(peer.connect(join(folder, 'a'))).toBe(0);
    for (const length of [0, 13, 1519, 66_000, 1518]) nativeCore().send(peer.fd, new Uint8Array(length).fill(3), 0);
    const batch = await link.read();
    expect([...(batch ?? [])].map(({ length }) => length)).toEqual([1518]);
    expect(link.readDropped).toEqual({ malformed: 2, tooLong: 2 });
    expect(link.counters).toMatchObject({ packetsRead: 1, bytesRead: 1518 });
  });
});

describe('a peer that ends', () => {
  it('is missed, and found again when it is back', async () => {
    const folder = freshFolder();
    const [a, b] = await pair(folder);
    const down = new Promise<void>((resolve) => a.on('down', resolve));
    await b.close();
    expect(existsSync(join(folder, 'b'))).toBe(false);
    a.write(new Uint8Array(60));
    await down;
    expect(a.write(new Uint8Array(60))).toBe(1);
    expect(a.counters.writeDropped['link-down']).toBe(2);
    const up = new Promise<void>((resolve) => a.on('up', resolve));
    const again = openLink(join(folder, 'b'), join(folder, 'a'));
    onTestFinished(() => again.close());
    await up;
    expect(a.write(new Uint8Array(70))).toBe(1);
    expect([...((await again.read()) ?? [])].map(({ length }) => length)).toEqual([70]);
  });

  it('does not keep what waits for room', async () => {
    const [a, b] = await pair();
    while (a.write(new Uint8Array(1500)) === 1);
    const room = a.writable();
    await b.close();
    await room;
    await vi.waitFor(() => {
      a.write(new Uint8Array(60));
      expect(a.counters.writeDropped['link-down']).toBeGreaterThan(0);
    });
  });
});

describe('the path of a socket', () => {
  it('is taken over from one who has ended, and not from one who is there', () => {
    const folder = freshFolder();
    const path = join(folder, 'left');
    // Closed without deleting its path, as by `kill -9`.
    execFileSync('socat', ['-u', '-T0.1', `UNIX-RECV:${path},unlink-close=0`, 'STDOUT']);
    expect(existsSync(path)).toBe(true);
    const socket = bindUnixDatagram(path);
    expect(() => bindUnixDatagram(path)).toThrow(
      expect.objectContaining({ code: 'VNIC_SYSTEM_CALL', errno: 'EADDRINUSE' }),
    );
    socket.close();
    socket.close();
    expect(existsSync(path)).toBe(false);
  });

  it('is not taken from a stream socket, nor from a file', async () => {
    const folder = freshFolder();
    const stream = join(folder, 'stream');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(stream, resolve));
    onTestFinished(() => void server.close());
    const file = join(folder, 'file');
    writeFileSync(file, 'kept');
    for (const path of [stream, file]) {
      expect(() => bindUnixDatagram(path)).toThrow(expect.objectContaining({ errno: 'EADDRINUSE' }));
      expect(existsSync(path)).toBe(true);
    }
    expect(() => openDatagramPeer({ local: join(folder, 'x'), remote: stream, onPeer: () => undefined })).toThrow(
      expect.objectContaining({ errno: 'EPROTOTYPE' }),
    );
    expect(existsSync(join(folder, 'x'))).toBe(false);
  });

  it('stays when it is somebody else`s by the end', () => {
    const path = join(freshFolder(), 'path');
    const first = bindUnixDatagram(path);
    rmSync(path);
    const second = bindUnixDatagram(path);
    onTestFinished(() => second.close());
    first.close();
    expect(existsSync(path)).toBe(true);
  });

  it('is refused where it is too long, or its folder is missing', () => {
    const refused = expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT' });
    expect(() => bindUnixDatagram(`/tmp/${'x'.repeat(110)}`)).toThrow(refused);
    expect(() => bindUnixDatagram(join(freshFolder(), 'none', 'x'))).toThrow(
      expect.objectContaining({ errno: 'ENOENT' }),
    );
  });
});
