/** Switches that do not keep to the protocol; `test/e2e/link-vde.test.ts` has a real one. */

import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, it, onTestFinished } from 'vitest';

import { openVdePort } from '../../src/transport/index.ts';
import { emitUnixAddress } from '../../src/transport/unix-datagram.ts';

/** A control socket that treats a request so; gives its folder. */
async function startSwitch(onRequest: (connection: Socket, request: Buffer) => void): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'vnic-vde-'));
  const connections = new Set<Socket>();
  const server = createServer((connection) => {
    connections.add(connection);
    connection.on('error', () => undefined);
    connection.once('data', (request: Buffer) => onRequest(connection, request));
  });
  server.listen(join(folder, 'ctl'));
  await once(server, 'listening');
  onTestFinished(() => {
    for (const connection of connections) connection.destroy();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

const unreachable = expect.objectContaining({ code: 'VNIC_PEER_UNREACHABLE' });

it.each([
  ['ends', (connection: Socket) => void connection.end()],
  ['breaks off', (connection: Socket) => void connection.destroy()],
  ['answers half', (connection: Socket) => void connection.end(new Uint8Array(109))],
  ['names a socket that is not there', (connection: Socket) => void connection.write(emitUnixAddress('/nowhere/1'))],
  ['names nothing', (connection: Socket) => void connection.write(new Uint8Array(110).fill(0xff))],
])('a switch that %s is not reached, and no socket is left', async (_what, onRequest) => {
  const path = await startSwitch(onRequest);
  await expect(openVdePort({ path })).rejects.toEqual(unreachable);
  expect(readdirSync(path)).toEqual(['ctl']);
});

it('a switch that does not answer can be given up', async () => {
  const given = new AbortController();
  const path = await startSwitch(() => given.abort());
  await expect(openVdePort({ path, signal: given.signal })).rejects.toEqual(unreachable);
  expect(readdirSync(path)).toEqual(['ctl']);
});

it('a switch is asked as version 3 of the protocol wants it', async () => {
  let asked: Buffer | undefined;
  const path = await startSwitch((connection, request) => {
    asked = request;
    connection.destroy();
  });
  await expect(openVdePort({ path, port: 9, description: 'a lab' })).rejects.toEqual(unreachable);
  const words = [0, 4, 8].map((at) => asked?.readUInt32LE(at));
  expect(words).toEqual([0xfeed_face, 3, 9 << 8]);
  expect(asked?.subarray(12, 14)).toEqual(Buffer.of(1, 0));
  expect(asked?.subarray(14).toString()).toMatch(new RegExp(`^${path}/\\.vnic-[0-9a-f]{12}\0+a lab\0+$`));
  expect(asked?.indexOf('a lab')).toBe(122);
});
