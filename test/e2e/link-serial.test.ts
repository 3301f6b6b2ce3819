/** `vnic link` over serial lines: pseudo terminals that socat joins, as a null-modem cable would. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { far, iperf, link, near, pings, pingsAtLast, withTwoHosts } from './carriers.ts';
import { type LiveVnic, startLive, startVnic } from './live-vnic.ts';
import { interfaceNames, run, runVnic } from './run-vnic.ts';

const folder = withTwoHosts('serial');
const [one, other] = [join(folder, 'one'), join(folder, 'other')] as const;
const slipHost = fileURLToPath(new URL('slip-host.py', import.meta.url));

async function plug(): Promise<LiveVnic> {
  const cable = startLive(['socat', '-d', '-d', `PTY,link=${one},raw,echo=0`, `PTY,link=${other},raw,echo=0`]);
  await cable.until(/starting data transfer/);
  return cable;
}

async function startBoth(options: string): Promise<[LiveVnic, LiveVnic]> {
  const here = link(`tun:t0,${near}`, `serial:${one}@115200${options}`);
  const there = startVnic(['link', `tun:t1,netns=far,${far}`, `serial:${other}@115200${options}`]);
  for (const live of [here, there]) {
    await live.until(/joined/);
    await live.until(/up /);
  }
  return [here, there];
}

describe('two hosts at a line', () => {
  it.each([
    ['SLIP', ''],
    ['HDLC', ',framing=hdlc'],
    ['COBS', ',framing=cobs'],
    ['HDLC with XON and XOFF', ',framing=hdlc,flow=software'],
    ['SLIP with RTS and CTS', ',framing=slip,flow=hardware'],
  ])(
    'reach each other with %s: ping and iperf3, IPv4 and IPv6',
    async (_name, options) => {
      await plug();
      const before = await run(['stty', '-F', one, '-a']);
      const [here, there] = await startBoth(options);
      expect(await pings('10.9.0.2', '-M', 'do', '-s', '1472')).toBe(true);
      // All bytes that framings treat in a way of their own.
      for (const pattern of ['c0', 'db', 'dcdd', '7e7d', '1113', '00']) {
        expect(await pings('10.9.0.2', '-s', '200', '-p', pattern)).toBe(true);
      }
      expect(await pings('fd09::2')).toBe(true);
      expect(await iperf('10.9.0.2')).toBeGreaterThan(100_000);
      expect((await here.end('SIGINT')).status).toBe(130);
      await there.end('SIGTERM');
      expect(interfaceNames()).not.toContain('t0');
      expect((await run(['stty', '-F', one, '-a'])).stdout).toBe(before.stdout);
    },
    120_000,
  );

  it('go on when the cable is plugged in again', async () => {
    const cable = await plug();
    const [here, there] = await startBoth('');
    expect(await pings('10.9.0.2')).toBe(true);
    await cable.end('SIGTERM');
    for (const live of [here, there]) await live.until(/down .*unplugged(?:.|\n)*no device is there/);
    expect(existsSync(one)).toBe(false);
    await plug();
    expect(await pingsAtLast('10.9.0.2')).toBe(true);
  });

  it('one of which was killed: the line is free at once', async () => {
    await plug();
    const [here] = await startBoth('');
    await here.end('SIGKILL');
    await link(`tun:t0,${near}`, `serial:${one}`).until(/joined/);
    expect(await pingsAtLast('10.9.0.2')).toBe(true);
  });
});

it('a host that has SLIP of its own answers', async () => {
  await plug();
  const host = startLive(['/usr/bin/python3', slipHost, other]);
  await host.until(/ready/);
  await link(`tun:t0,${near}`, `serial:${one}`).until(/joined/);
  for (const pattern of ['00', 'c0', 'db', 'dbdc', 'dddb']) {
    expect(await pings('10.9.0.2', '-s', '300', '-p', pattern)).toBe(true);
  }
});

it('what is sent while nobody reads is lost, oldest first, and the link goes on', async () => {
  await plug();
  const here = link(`tun:t0,${near}`, `serial:${one}`);
  await here.until(/joined/);
  const flood = 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n';
  const send = "for i in range(3000): s.sendto(bytes(1000), ('10.9.0.2', 9))";
  await run(['/usr/bin/python3', '-c', flood + send]);
  startVnic(['link', `tun:t1,netns=far,${far}`, `serial:${other}`]);
  expect(await pingsAtLast('10.9.0.2')).toBe(true);
  expect((await here.end('SIGINT')).stderr).toMatch(/lost: queue-full \d{3,}/);
});

describe('a mistake', () => {
  it.each([
    [
      'a speed that is none',
      'serial:/dev/ttyS0@fast',
      /serial:\/dev\/ttyS0@fast\n +\^\^\^\^\n(?:.|\n)*expected a speed of/,
    ],
    ['a framing that cannot find the next packet', 'serial:/dev/ttyS0,framing=length', /one of slip, hdlc, cobs/],
    ['flow control that there is not', 'serial:/dev/ttyS0,flow=constructor', /none, hardware or software/],
    [
      'XON and XOFF within packets',
      'serial:/dev/ttyS0,flow=software',
      /which slip leaves as they are(?:.|\n)*framing=hdlc/,
    ],
    ['no device', 'serial:@9600', /expected the path of a device/],
    ['another kind of file', 'serial:/dev/null', /expected a serial line/],
  ])('%s is pointed at', async (_what, end, message) => {
    const { status, stderr } = await runVnic(['link', 'null', end]);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
  });

  it('a line that is not there is waited for, but with --once', async () => {
    const { status, stderr } = await runVnic(['link', '--once', 'null', `serial:${folder}/none`]);
    expect(status).toBe(75);
    expect(stderr).toContain('no device is there');
    const live = link('null', `serial:${one}`);
    await live.until(/waiting .*no device is there/);
    await plug();
    await live.until(/up /);
  });

  it('a line that somebody has is not shared', async () => {
    await plug();
    await link('null', `serial:${one}`).until(/joined/);
    const { status, stderr } = await runVnic(['link', 'null', `serial:${one}`]);
    expect(status).toBe(75);
    expect(stderr).toContain('another program has it');
  });
});
