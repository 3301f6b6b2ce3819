/** TLS listeners and clients over the loopback interface, among themselves and against what strangers send. */

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { connect as connectTlsSocket, createServer as createTlsServer } from 'node:tls';

import { afterAll, describe, expect, it, onTestFinished, vi } from 'vitest';

import { createIdentity, KnownPeers, readIdentity } from '../identity/index.ts';
import {
  type ClientTrust,
  connectTls,
  listenForTls,
  type RefusedClient,
  type SecureListener,
  type TlsClient,
  type TlsConnection,
  type TlsConnectOptions,
  type TlsListenOptions,
} from './index.ts';

const folder = mkdtempSync(join(tmpdir(), 'vnic-tls-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const server = createIdentity('server');
const client = createIdentity('client');
const stranger = createIdentity('stranger');
const host = '127.0.0.1';

interface Listening {
  readonly listener: SecureListener;
  readonly clients: TlsClient[];
  readonly refused: RefusedClient[];
  readonly port: number;
  /** A stream of the next client. */
  next(): Promise<TlsClient>;
}

async function listening(
  trust: ClientTrust = { allow: [client.fingerprint] },
  options: Partial<TlsListenOptions> = {},
): Promise<Listening> {
  const clients: TlsClient[] = [];
  const refused: RefusedClient[] = [];
  const listener = await listenForTls(
    { host, port: 0 },
    {
      identity: server,
      trust,
      onStream: (each) => clients.push(each),
      onRefused: (each) => refused.push(each),
      ...options,
    },
  );
  onTestFinished(() => {
    listener.stop();
    for (const { stream } of clients) stream.destroy();
  });
  let taken = 0;
  const next = async (): Promise<TlsClient> => {
    await vi.waitFor(() => expect(clients.length).toBeGreaterThan(taken), 10_000);
    return clients[taken++] as TlsClient;
  };
  return { listener, clients, refused, port: listener.address.port, next };
}

async function connected(port: number, options: Partial<TlsConnectOptions> = {}): Promise<TlsConnection> {
  const connection = await connectTls({
    host,
    port,
    identity: client,
    trust: { pin: server.fingerprint },
    ...options,
  });
  onTestFinished(() => void connection.stream.on('error', () => undefined).destroy());
  return connection;
}

async function exchange(near: Duplex, far: Duplex, text = 'a packet'): Promise<void> {
  for (const [from, to] of [
    [near, far],
    [far, near],
  ] as const) {
    from.write(text);
    let found = '';
    while (found.length < text.length) {
      found += String(to.read() ?? '');
      if (found.length < text.length) await once(to, 'readable');
    }
    expect(found).toBe(text);
  }
}

/** Waits for the end of a stream, however that comes. */
function closed(stream: Duplex): Promise<void> {
  stream.on('error', () => undefined).resume();
  return new Promise((resolve) => stream.once('close', resolve));
}

async function raw(port: number): Promise<Socket> {
  const socket = connect(port, host).on('error', () => undefined);
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  return socket;
}

describe('a TLS stream', () => {
  it('joins two that trust one another, both ways, with TLS 1.3', async () => {
    const { listener, next, port } = await listening();
    const near = await connected(port);
    expect(near).toMatchObject({ peer: `127.0.0.1:${port}`, fingerprint: server.fingerprint, isNew: false });
    expect((near.stream as ReturnType<typeof connectTlsSocket>).getProtocol()).toBe('TLSv1.3');
    const far = await next();
    expect(far.fingerprint).toBe(client.fingerprint);
    expect(far.peer).toMatch(/^127\.0\.0\.1:\d+$/);
    await exchange(near.stream, far.stream);
    expect(listener.counters).toMatchObject({ connections: 1, accepted: 1, waiting: 0 });
    listener.stop();
    listener.stop();
    await exchange(near.stream, far.stream, 'after the port was closed');
    await expect(connected(port)).rejects.toMatchObject({ code: 'VNIC_PEER_UNREACHABLE', errno: 'ECONNREFUSED' });
  });

  it('pins a server on first use, and is not made with another key from then on', async () => {
    const known = new KnownPeers(join(folder, 'known'));
    const first = await listening();
    expect((await connected(first.port, { trust: { known } })).isNew).toBe(true);
    expect((await connected(first.port, { trust: { known } })).isNew).toBe(false);
    first.listener.stop();
    const impostor = await listenForTls(
      { host, port: first.port },
      { identity: stranger, trust: { anyone: true }, onStream: ({ stream }) => void stream.destroy() },
    );
    onTestFinished(() => impostor.stop());
    await expect(connected(first.port, { trust: { known } })).rejects.toMatchObject({
      code: 'VNIC_PEER_CHANGED',
      message: expect.stringContaining(stranger.fingerprint),
    });
    expect(readFileSync(known.path, 'utf8')).not.toContain(stranger.fingerprint);
    await expect(connected(first.port)).rejects.toMatchObject({ code: 'VNIC_PEER_UNTRUSTED' });
    expect((await connected(first.port, { trust: { insecure: true } })).fingerprint).toBe(stranger.fingerprint);
  });

  it('is made with certificates of an authority: for the name of the host, and of its clients', async () => {
    const { ca, of } = authority();
    const far = await listening({ ca }, { identity: of('server', 'DNS:vpn.example,IP:127.0.0.1') });
    const identity = of('client', 'DNS:any');
    const named = { identity, trust: { ca }, servername: 'vpn.example' };
    await exchange((await connected(far.port, named)).stream, (await far.next()).stream);
    await exchange((await connected(far.port, { identity, trust: { ca } })).stream, (await far.next()).stream);
    for (const wrong of [{ servername: 'other.example' }, { trust: { ca: authority().ca } }]) {
      await expect(connected(far.port, { ...named, ...wrong })).rejects.toMatchObject({ code: 'VNIC_PEER_UNTRUSTED' });
    }
    // Not of that authority: TLS 1.3 has the client's proof last, so that it sees a connection that ends.
    const { stream } = await connected(far.port, { trust: { ca } });
    await closed(stream);
    expect(far.refused).toMatchObject([{ reason: 'not-allowed', fingerprint: client.fingerprint }]);
    expect(far.listener.counters.accepted).toBe(2);
  });

  it('goes to those of whom a function says so, which may fail', async () => {
    const errors: unknown[] = [];
    const allowed = new Set<string>();
    const allow = (fingerprint: string): boolean => {
      if (fingerprint === stranger.fingerprint) throw new Error('the file is damaged');
      return allowed.has(fingerprint);
    };
    const far = await listening({ allow }, { onError: (error) => errors.push(error) });
    const ended = async (identity = client): Promise<unknown> =>
      closed((await connected(far.port, { identity })).stream);
    await ended();
    await ended(stranger);
    expect(errors).toEqual([expect.objectContaining({ message: 'the file is damaged' })]);
    allowed.add(client.fingerprint);
    await exchange((await connected(far.port)).stream, (await far.next()).stream);
  });

  it('is given up when it is told so, also in the middle of the handshake, and when no TLS answers', async () => {
    const silent = createServer().listen(0, host);
    onTestFinished(() => void silent.close());
    await once(silent, 'listening');
    const { port } = silent.address() as { port: number };
    const accepted = once(silent, 'connection') as Promise<[Socket]>;
    const abort = new AbortController();
    const connecting = connected(port, { signal: abort.signal });
    const [socket] = await accepted;
    abort.abort();
    await expect(connecting).rejects.toMatchObject({ code: 'VNIC_ABORTED' });
    await closed(socket);
    await expect(connected(port, { signal: abort.signal })).rejects.toMatchObject({ code: 'VNIC_ABORTED' });
    silent.on('connection', (each) => each.on('error', () => undefined).end('SSH-2.0-OpenSSH_9.2\r\n'));
    await expect(connected(port)).rejects.toMatchObject({
      code: 'VNIC_PEER_UNREACHABLE',
      reason: expect.stringContaining('does not speak TLS 1.3'),
    });
  });

  it('is not made with a server of TLS 1.2', async () => {
    const old = createTlsServer({ cert: server.certificatePem, key: server.keyPem, maxVersion: 'TLSv1.2' });
    onTestFinished(() => void old.close());
    await once(old.on('tlsClientError', () => undefined).listen(0, host), 'listening');
    const { port } = old.address() as { port: number };
    await expect(connected(port)).rejects.toMatchObject({ code: 'VNIC_PEER_UNREACHABLE' });
  });

  it('is not made with a key that OpenSSL takes for too short', async () => {
    const [certificateFile, keyFile] = [join(folder, 'short.pem'), join(folder, 'short.key')];
    openssl(
      ...['req', '-x509', '-newkey', 'rsa:512', '-nodes', '-subj', '/CN=x', '-out', certificateFile],
      '-keyout',
      keyFile,
    );
    await expect(
      listening({ anyone: true }, { identity: readIdentity({ certificateFile, keyFile }) }),
    ).rejects.toMatchObject({
      code: 'VNIC_IDENTITY',
    });
  });
});

describe('a client that may not come in', () => {
  it('is named, so that it can be allowed, and others are counted by what they did', async () => {
    const { listener, refused, port, next } = await listening(undefined, { handshakeMs: 5_000 });
    const { stream } = await connected(port, { identity: stranger });
    await closed(stream);
    const { fingerprint } = stranger;
    expect(refused).toEqual([{ peer: expect.any(String), fingerprint, reason: 'not-allowed', untold: 0 }]);
    const { stream: bare } = await connectTls({ host, port, trust: { insecure: true } });
    await closed(bare);
    expect(refused[1]).toMatchObject({ fingerprint: undefined, reason: 'no-certificate' });
    const old = connectTlsSocket({ host, port, maxVersion: 'TLSv1.2', rejectUnauthorized: false });
    const [error] = (await once(old, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION');
    const plain = await raw(port);
    plain.write('GET / HTTP/1.1\r\n\r\n');
    await closed(plain);
    const broken = await raw(port);
    broken.write(Buffer.from([22, 3, 1, 0, 4, 1, 2, 3, 4]));
    await closed(broken);
    const endless = await raw(port);
    endless.write(Buffer.from([22, 3, 1, 0xff, 0xff, 1]));
    await closed(endless);
    (await raw(port)).destroy();
    await vi.waitFor(() =>
      expect(listener.counters).toMatchObject({
        connections: 7,
        accepted: 0,
        waiting: 0,
        refused: { 'not-allowed': 1, 'no-certificate': 1, 'not-tls': 2, 'handshake-failed': 3, timeout: 0, crowded: 0 },
      }),
    );
    await exchange((await connected(port)).stream, (await next()).stream);
  });

  it('is given its time and no more: one that says nothing, half a greeting, or one byte at a time', async () => {
    const { listener, port } = await listening(undefined, { handshakeMs: 300 });
    const sockets = await Promise.all([raw(port), raw(port), raw(port)]);
    sockets[1]?.write(greeting.subarray(0, 100));
    const drip = setInterval(() => sockets[2]?.write(Uint8Array.of(22)), 50);
    onTestFinished(() => clearInterval(drip));
    sockets[2]?.write(greeting.subarray(0, 5));
    await Promise.all(sockets.map((socket) => closed(socket)));
    expect(listener.counters).toMatchObject({ waiting: 0, refused: { timeout: 3 } });
  });

  it('is told of at a bounded rate', async () => {
    const { refused, listener, port } = await listening(undefined);
    for (let i = 0; i < 30; i++) {
      const { stream } = await connectTls({ host, port, identity: stranger, trust: { insecure: true } });
      await closed(stream);
    }
    expect(listener.counters.refused['not-allowed']).toBe(30);
    expect(refused.length).toBeLessThan(30);
    expect(refused.length).toBeGreaterThanOrEqual(10);
  });
});

describe('a thousand clients that say nothing, or half a greeting', () => {
  it.each([
    ['nothing', 0],
    ['half a greeting', 150],
  ])('%s: others get in and are served, and memory is bounded', async (_what, length) => {
    const { listener, next, port } = await listening();
    const near = await connected(port);
    const far = await next();
    const sockets: Socket[] = [];
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
    });
    for (let i = 0; i < 1000; i++) {
      // Of several addresses, as if they were several machines.
      const socket = connect({ port, host, localAddress: `127.0.${i % 50}.1` }).on('error', () => undefined);
      sockets.push(socket);
      await once(socket, 'connect');
      if (length > 0) socket.write(greeting.subarray(0, length));
      if (i % 100 === 99) {
        await exchange(near.stream, far.stream);
        const other = await connected(port);
        await exchange(other.stream, (await next()).stream);
        other.stream.destroy();
      }
    }
    const { connections, accepted, waiting, refused } = listener.counters;
    expect({ connections, accepted }).toEqual({ connections: 1011, accepted: 11 });
    expect(waiting).toBeLessThanOrEqual(256);
    expect(waiting + refused.crowded + refused.timeout).toBe(1000);
    // All from one address: it has its share and no more.
    const before = refused.crowded;
    for (let i = 0; i < 300; i++) sockets.push(await raw(port));
    expect(listener.counters.refused.crowded).toBeGreaterThan(before);
    await exchange((await connected(port)).stream, (await next()).stream);
    listener.stop();
    await vi.waitFor(() => expect(listener.counters.waiting).toBe(0));
  });
});

/** The first record of a client, as Node sends it. */
const greeting = await recordGreeting();

async function recordGreeting(): Promise<Buffer> {
  const recorder = createServer().listen(0, host);
  await once(recorder, 'listening');
  const { port } = recorder.address() as { port: number };
  const socket = connectTlsSocket({ host, port, minVersion: 'TLSv1.3' }).on('error', () => undefined);
  const [accepted] = (await once(recorder, 'connection')) as [Socket];
  const [chunk] = (await once(accepted, 'data')) as [Buffer];
  socket.destroy();
  accepted.destroy();
  recorder.close();
  return chunk;
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

let authorities = 0;

/** An authority, and identities that it has signed. */
function authority(): { ca: string; of(name: string, altNames: string): ReturnType<typeof readIdentity> } {
  const at = join(folder, `ca-${++authorities}`);
  openssl(
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=ca'],
    '-keyout',
    `${at}.key`,
    '-out',
    `${at}.pem`,
  );
  return {
    ca: readFileSync(`${at}.pem`, 'utf8'),
    of(name, altNames) {
      const [key, request, certificate] = [`${at}-${name}.key`, `${at}-${name}.csr`, `${at}-${name}.pem`];
      writeFileSync(`${at}-${name}.ext`, `subjectAltName=${altNames}\n`);
      openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', `/CN=${name}`, '-keyout', key, '-out', request);
      openssl(
        ...['x509', '-req', '-in', request, '-CA', `${at}.pem`, '-CAkey', `${at}.key`, '-CAcreateserial'],
        ...['-extfile', `${at}-${name}.ext`, '-out', certificate],
      );
      return readIdentity({ certificateFile: certificate, keyFile: key });
    },
  };
}
