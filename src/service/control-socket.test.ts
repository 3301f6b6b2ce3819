import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { invalidArgument } from '../base/index.ts';
import { connectControl } from './control-client.ts';
import { type ControlLimits, type ControlSocket, openControlSocket } from './control-socket.ts';

let folder: string;
let path: string;
const opened: ControlSocket[] = [];
const sockets: Socket[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vnic-control-'));
  path = join(folder, 'control', 'a.sock');
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const control of opened.splice(0)) await control.close();
  rmSync(folder, { recursive: true });
});

async function open(limits: ControlLimits = {}): Promise<ControlSocket> {
  const handlers = {
    status: () => ({ state: 'running' }),
    echo: (request: object) => request,
    fail: () => {
      throw invalidArgument('fail', 'something else', 'this');
    },
    long: () => 'x'.repeat(200_000),
  };
  const control = await openControlSocket(path, handlers, limits);
  opened.push(control);
  return control;
}

async function raw(): Promise<Socket> {
  const socket = createConnection({ path });
  sockets.push(socket);
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

describe('the control socket', () => {
  it('is for its user alone, whatever the umask, and gone at the end', async () => {
    const before = process.umask(0);
    try {
      const control = await open();
      expect(statSync(dirname(path)).mode & 0o777).toBe(0o700);
      expect(statSync(path).mode & 0o777).toBe(0o600);
      expect(process.umask()).toBe(0);
      await control.close();
      await control.close();
      expect(existsSync(path)).toBe(false);
    } finally {
      process.umask(before);
    }
  });

  it('takes a folder that others may look into for itself', async () => {
    mkdirSync(dirname(path));
    chmodSync(dirname(path), 0o755);
    await open();
    expect(statSync(dirname(path)).mode & 0o777).toBe(0o700);
  });

  it('answers one question after the other', async () => {
    await open();
    using client = await connectControl(path);
    expect(await client.ask('status')).toEqual({ state: 'running' });
    expect(await client.ask('echo', { name: 'é\n' })).toEqual({ ask: 'echo', name: 'é\n' });
    await expect(client.ask('fail')).rejects.toMatchObject({ code: 'VNIC_INVALID_ARGUMENT' });
    await expect(client.ask('toString')).rejects.toMatchObject({ hint: 'Known are: status, echo, fail, long.' });
    expect(await client.ask('long')).toHaveLength(200_000);
  });

  it.each(['nonsense', '[]', '7', 'null', '{"ask":7}', ''])('says to %j what it expects', async (line) => {
    await open();
    const socket = await raw();
    socket.write(`${line}\n`);
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    expect(JSON.parse(chunk.toString())).toMatchObject({ error: { code: 'VNIC_INVALID_ARGUMENT' } });
  });

  it('takes a socket over that nobody listens on, and no other', async () => {
    mkdirSync(dirname(path));
    const first = createServer();
    await new Promise<void>((resolve) => first.listen(path, resolve));
    await expect(open()).rejects.toMatchObject({ code: 'VNIC_SYSTEM_CALL', errno: 'EADDRINUSE' });
    // A name whose socket has ended, as kill -9 leaves it.
    await new Promise((resolve) => first.close(resolve));
    const script =
      "require('node:net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))";
    expect(() => execFileSync(process.execPath, ['-e', script, path], { stdio: 'pipe' })).toThrow();
    expect(statSync(path).isSocket()).toBe(true);
    await open();
    using client = await connectControl(path);
    expect(await client.ask('status')).toEqual({ state: 'running' });
  });

  it('removes no file that is no socket', async () => {
    mkdirSync(dirname(path));
    writeFileSync(path, 'precious');
    await expect(open()).rejects.toMatchObject({ errno: 'EADDRINUSE' });
    expect(statSync(path).size).toBe(8);
  });

  it('has room for so many clients, and again when one goes', async () => {
    await open({ clients: 1 });
    const first = await raw();
    const second = await raw();
    await once(second, 'close');
    first.destroy();
    for (let attempt = 0; attempt < 1000; attempt++) {
      const next = await connectControl(path);
      const answer = await next.ask('status').catch(() => undefined);
      next.close();
      if (answer !== undefined) return;
    }
    expect.unreachable();
  });

  it.each([
    ['without an end', 'x'.repeat(4097)],
    ['with one', `${'x'.repeat(4097)}\n`],
  ])('cuts off a request that is too long, %s', async (_how, text) => {
    await open();
    const socket = await raw();
    socket.write(text);
    await once(socket.resume(), 'close');
  });

  it('cuts off who says nothing, and who does not read', async () => {
    await open({ idleMs: 20 });
    await once((await raw()).resume(), 'close');
    for (const control of opened.splice(0)) await control.close();
    await open({ pendingLen: 1_000_000 });
    const deaf = await raw();
    deaf.pause();
    // 40 answers of 200 kB are more than the kernel keeps.
    deaf.write('{"ask":"long"}\n'.repeat(40));
    // What it writes once it was cut off fails, although it reads nothing.
    for (let i = 0; i < 100_000 && !deaf.destroyed; i++) {
      deaf.write('{"ask":"status"}\n');
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(deaf.destroyed).toBe(true);
    expect(deaf.bytesRead).toBeLessThan(40 * 200_000);
  });

  it('ends its clients with itself', async () => {
    const control = await open();
    using client = await connectControl(path);
    await client.ask('status');
    await control.close();
    await expect(client.ask('status')).rejects.toMatchObject({ code: 'VNIC_SYSTEM_CALL' });
    await expect(connectControl(path)).rejects.toMatchObject({ errno: 'ENOENT' });
  });
});
