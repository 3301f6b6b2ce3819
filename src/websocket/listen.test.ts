/** WebSocket listeners and what strangers send to them, over the loopback interface. */

import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { WebSocket } from 'ws';

import { createIdentity } from '../identity/index.ts';
import type { SecureListener } from '../secure/index.ts';
import { connectWebSocket, listenForWebSockets, WebSocketLink, type WebSocketListenOptions } from './index.ts';

const host = '127.0.0.1';
const server = createIdentity('server');
const client = createIdentity('client');

interface Listening {
  readonly listener: SecureListener;
  readonly links: WebSocketLink[];
  readonly port: number;
}

async function listening(options: Partial<WebSocketListenOptions> = {}): Promise<Listening> {
  const links: WebSocketLink[] = [];
  const onChannel: WebSocketListenOptions['onChannel'] = ({ channel, peer }) => {
    const link = new WebSocketLink({ name: peer, medium: 'ip', mtu: 1400 });
    link.on('gone', () => undefined);
    link.attach(channel);
    links.push(link);
  };
  const listener = await listenForWebSockets({ host, port: 0 }, { onChannel, ...options });
  onTestFinished(async () => {
    listener.stop();
    for (const link of links) await link.close();
  });
  return { listener, links, port: listener.address.port };
}

async function taken(links: readonly WebSocketLink[], count = 1): Promise<WebSocketLink> {
  await vi.waitFor(() => expect(links).toHaveLength(count), { timeout: 10_000 });
  return links.at(-1) as WebSocketLink;
}

/** Sends text and gives all that comes back until the end. */
async function ask(port: number, text: string): Promise<string> {
  const socket = connect(port, host);
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => undefined).write(text);
  let answer = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    answer += chunk;
  });
  await new Promise((resolve) => socket.once('close', resolve));
  return answer;
}

const request = (path: string, ...headers: readonly string[]): string =>
  [
    `GET ${path} HTTP/1.1`,
    'Host: x',
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ...headers,
    '\r\n',
  ].join('\r\n');

describe('a WebSocket listener', () => {
  it('has an answer for what is no request for it, counts that, and serves others', async () => {
    const { listener, links, port } = await listening({ path: '/vnic', origins: ['https://good.example'] });
    expect(await ask(port, 'GET /vnic HTTP/1.1\r\nHost: x\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 426 .*\r\nUpgrade: websocket/,
    );
    expect(await ask(port, 'SSH-2.0-OpenSSH_9.2\r\n\r\n')).toMatch(/^HTTP\/1\.1 400/);
    expect(await ask(port, request('/other'))).toMatch(/^HTTP\/1\.1 404/);
    expect(await ask(port, request('/vnic', 'Origin: https://evil.example'))).toMatch(/^HTTP\/1\.1 403/);
    expect(await ask(port, request('/vnic').replace('Key: dG', 'Key: '))).toMatch(/^HTTP\/1\.1 400/);
    expect(await ask(port, request('/vnic').replace('Version: 13', 'Version: 7'))).toMatch(/^HTTP\/1\.1 400/);
    expect(await ask(port, `GET / HTTP/1.1\r\nX: ${'a'.repeat(20_000)}`)).toMatch(/^(HTTP\/1\.1 400|$)/);
    await vi.waitFor(() =>
      expect(listener.counters).toMatchObject({
        connections: 7,
        accepted: 0,
        waiting: 0,
        refused: { 'bad-request': 7 },
      }),
    );
    const good = new WebSocket(`ws://${host}:${port}/vnic?x=1`, { origin: 'https://good.example' });
    onTestFinished(() => good.terminate());
    await once(good, 'open');
    good.send(Buffer.from([0x45, 1, 2]));
    const link = await taken(links);
    expect([...((await link.read())?.packet(0) ?? [])]).toEqual([0x45, 1, 2]);
  });

  it('gives a slow request its time and no more', async () => {
    const { listener, port } = await listening({ handshakeMs: 300 });
    const slow = connect(port, host).on('error', () => undefined);
    slow.write('GET / HTTP/1.1\r\nHost:');
    await new Promise((resolve) => slow.resume().once('close', resolve));
    expect(listener.counters).toMatchObject({ waiting: 0, refused: { timeout: 1 } });
  });

  it('is not hurt by a thousand clients that say nothing', async () => {
    const { listener, links, port } = await listening();
    const sockets: Socket[] = [];
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
    });
    for (let i = 0; i < 1000; i++) {
      const socket = connect(port, host).on('error', () => undefined);
      sockets.push(socket);
      await once(socket, 'connect');
    }
    const { channel } = await connectWebSocket({ host, port });
    channel.start({ onMessage: () => undefined, onText: () => undefined, onEnd: () => undefined });
    channel.send(Buffer.from([0x45]));
    expect((await (await taken(links)).read())?.count).toBe(1);
    channel.close();
    const { waiting, refused } = listener.counters;
    expect(waiting).toBeLessThanOrEqual(32);
    expect(waiting + refused.crowded).toBe(1000);
  });

  it('asks for certificates where it is told to', async () => {
    const trust = { allow: [client.fingerprint] };
    const { listener, links, port } = await listening({ tls: { identity: server, trust } });
    const pinned = { trust: { pin: server.fingerprint } };
    await expect(connectWebSocket({ host, port, tls: pinned })).rejects.toMatchObject({
      code: 'VNIC_PEER_UNREACHABLE',
    });
    await expect(connectWebSocket({ host, port })).rejects.toMatchObject({ code: 'VNIC_PEER_UNREACHABLE' });
    expect(listener.counters.refused).toMatchObject({ 'no-certificate': 1, 'not-tls': 1 });
    const { channel, fingerprint } = await connectWebSocket({ host, port, tls: { ...pinned, identity: client } });
    expect(fingerprint).toBe(server.fingerprint);
    await taken(links);
    channel.destroy();
  });
});

describe('what a client sends that is no packet', () => {
  it('text, too long and empty messages are counted or left out; one that no link carries ends the connection', async () => {
    const { links, port } = await listening();
    const socket = new WebSocket(`ws://${host}:${port}/`);
    onTestFinished(() => socket.terminate());
    await once(socket, 'open');
    const link = await taken(links);
    socket.send('a text');
    socket.send(Buffer.alloc(1401));
    socket.send(Buffer.alloc(0));
    socket.ping();
    socket.send(Buffer.from([0x45, 7]));
    expect([...((await link.read())?.packet(0) ?? [])]).toEqual([0x45, 7]);
    expect(link.channelCounters).toEqual({ channels: 1, text: 1, tooLong: 1 });
    const closed = once(socket, 'close') as Promise<[number]>;
    socket.send(Buffer.alloc(70_000));
    expect((await closed)[0]).toBe(1009);
    await expect(link.read()).rejects.toMatchObject({ code: 'VNIC_DEVICE_GONE' });
  });
});

describe('a WebSocket client', () => {
  it('says what answers when it is no WebSocket, or nobody', async () => {
    const { port } = await listening({ path: '/vnic' });
    await expect(connectWebSocket({ host, port, path: '/other' })).rejects.toMatchObject({
      code: 'VNIC_PEER_UNREACHABLE',
      reason: expect.stringContaining('404'),
    });
    const closed = createServer().listen(0, host);
    await once(closed, 'listening');
    const { port: free } = closed.address() as { port: number };
    await new Promise((resolve) => closed.close(resolve));
    await expect(connectWebSocket({ host, port: free })).rejects.toMatchObject({ errno: 'ECONNREFUSED' });
  });

  it('is given up when it is told so', async () => {
    const silent = createServer().listen(0, host);
    onTestFinished(() => void silent.close());
    await once(silent, 'listening');
    const { port } = silent.address() as { port: number };
    const accepted = once(silent, 'connection') as Promise<[Socket]>;
    const abort = new AbortController();
    const connecting = connectWebSocket({ host, port, signal: abort.signal });
    const [socket] = await accepted;
    abort.abort();
    await expect(connecting).rejects.toMatchObject({ code: 'VNIC_ABORTED' });
    await new Promise((resolve) =>
      socket
        .on('error', () => undefined)
        .resume()
        .once('close', resolve),
    );
  });
});
