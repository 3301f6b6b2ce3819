/** Serial lines over a real pair of pseudo terminals: the link conformance suite, and what happens on lines. */

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';

import { describe, expect, it, onTestFinished } from 'vitest';

import { cobsFraming, type Framing, hdlcFraming, slipFraming } from '../../src/framing/index.ts';
import { nativeCore } from '../../src/native/index.ts';
import { joinedLinksHarness, type LinkHarness, linkConformanceCases, seedOf } from '../../src/testing/index.ts';
import { openSerialLine, type SerialOptions, StreamLink } from '../../src/transport/index.ts';
import { lineSettings, rawSettings, SerialRequest, TERMIOS_LEN } from '../../src/transport/termios.ts';
import { freshFolder, plugPtyPair } from './pty-pair.ts';

const framings: Readonly<Record<string, Framing>> = { slip: slipFraming, hdlc: hdlcFraming, cobs: cobsFraming };

function openLine(path: string, options: Omit<SerialOptions, 'path'> = {}): Duplex {
  const line = openSerialLine({ path, ...options });
  onTestFinished(() => void line.destroy());
  return line;
}

function linkOver(line: Duplex, framing: Framing): StreamLink {
  const link = new StreamLink({ name: 'serial', medium: 'ip', framing, writeLen: 1 });
  link.attach(line);
  onTestFinished(() => link.close());
  return link;
}

async function harness(framing: Framing): Promise<LinkHarness> {
  const { ends, unplug } = await plugPtyPair();
  const [a, b] = ends.map((path) => linkOver(openSerialLine({ path }), framing)) as [StreamLink, StreamLink];
  return {
    ...joinedLinksHarness(a, b),
    remove: async () => {
      void unplug();
    },
  };
}

describe.each(Object.entries(framings))('a serial line with the framing %s', (_name, framing) => {
  // The buffers of two lines and of what joins them take more whenever the event loop turns, which those cases do not know of.
  const cases = linkConformanceCases.filter(({ needs }) => needs !== 'backPressure');
  it.each(cases)('$title', ({ run }) => run(() => harness(framing)));

  it('takes no packet while nobody reads at the other end, and loses nothing', async () => {
    const made = await harness(framing);
    onTestFinished(() => made.close());
    const { link } = made;
    let sent = 0;
    for (let isFull = false; !isFull; ) {
      while (link.write(made.makePacket(1400, sent)) === 1) sent++;
      isFull = await link.writable({ signal: AbortSignal.timeout(300) }).then(
        () => false,
        () => true,
      );
    }
    // Less than 100 packets: some lines of 4 KiB each, and what this side may have on its way.
    expect(sent).toBeLessThan(100);
    expect(link.write(made.makePacket(1400, sent))).toBe(0);
    const packets = await made.collect(sent);
    expect(packets.map(seedOf)).toEqual(packets.map((_, i) => i));
    await link.writable();
  });
});

/** Packets as they come. */
async function read(link: StreamLink, count: number): Promise<Uint8Array[]> {
  const packets: Uint8Array[] = [];
  while (packets.length < count) for (const one of (await link.read()) ?? []) packets.push(one.slice());
  return packets;
}

async function put(line: Duplex, bytes: readonly number[]): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    line.write(Uint8Array.from(bytes), (error) => (error ? reject(error) : resolve()));
  });
}

/** Bytes on the wire, written by hand from RFC 1055. */
const escaped = [0xc0, 0x45, 0xdb, 0xdc, 0xdb, 0xdd, 0xc0];
const plain = [0x45, 0xc0, 0xdb];

describe('what comes over a line', () => {
  async function lineAndLink(framing = slipFraming): Promise<{ line: Duplex; link: StreamLink }> {
    const { ends } = await plugPtyPair();
    return { link: linkOver(openLine(ends[0]), framing), line: openLine(ends[1]) };
  }

  it('a byte at a time, with escapes at the end of each, is put together', async () => {
    const { line, link } = await lineAndLink();
    const packet = read(link, 1);
    for (const byte of escaped) await put(line, [byte]);
    expect(await packet).toEqual([Uint8Array.from(plain)]);
  });

  it('as two frames in one read is two packets', async () => {
    const { line, link } = await lineAndLink();
    await put(line, [...escaped, ...escaped, 0xc0, 0x61, 0x62, 0xc0]);
    expect(await read(link, 3)).toEqual([plain, plain, [0x61, 0x62]].map((bytes) => Uint8Array.from(bytes)));
  });

  it('cut behind an escape is one packet', async () => {
    const { line, link } = await lineAndLink();
    const packet = read(link, 1);
    await put(line, escaped.slice(0, 3));
    await put(line, escaped.slice(3, 5));
    await put(line, escaped.slice(5));
    expect(await packet).toEqual([Uint8Array.from(plain)]);
  });

  it('is left out and counted where it is no frame', async () => {
    const { line, link } = await lineAndLink();
    // A wrong escape, an escape at the end, a frame longer than the MTU, and then a good one.
    await put(line, [0xc0, 0x01, 0xdb, 0x02, 0xc0, 0x01, 0xdb, 0xc0]);
    const packet = read(link, 1);
    await put(line, [...new Array<number>(1501).fill(7), ...escaped]);
    expect(await packet).toEqual([Uint8Array.from(plain)]);
    expect(link.streamCounters).toMatchObject({ malformed: 2, tooLong: 1 });
  });

  it('garbage before the first frame, and damage in one, are found by the check sequence of HDLC', async () => {
    const { line, link } = await lineAndLink(hdlcFraming);
    const frame = new Uint8Array(64);
    const end = hdlcFraming.encode(Uint8Array.from([1, 2, 3]), 0, 3, frame, 0);
    const good = [...frame.subarray(0, end)];
    const bad = good.with(3, (good[3] as number) ^ 1);
    await put(line, [0x55, 0xff, 0x00, 0x13, ...good, ...bad, ...good]);
    expect(await read(link, 2)).toEqual([Uint8Array.of(1, 2, 3), Uint8Array.of(1, 2, 3)]);
    expect(link.streamCounters.malformed).toBe(2);
  });
});

describe('a line', () => {
  it('is set as stty reads it, and gets back what it had', async () => {
    const { ends } = await plugPtyPair();
    const path = ends[0];
    const core = nativeCore();
    const stty = (): string => execFileSync('stty', ['-F', path, '-a'], { encoding: 'utf8' }).replaceAll('\n', ' ');
    const fd = core.open(path, 2);
    const found = new Uint8Array(TERMIOS_LEN);
    expect(core.ioctl(fd, SerialRequest.getSettings, found)).toBe(0);
    for (const [flow, flags] of [
      ['none', ['-crtscts', '-ixon', '-ixoff']],
      ['hardware', ['crtscts', '-ixon', '-ixoff']],
      ['software', ['-crtscts', 'ixon', 'ixoff']],
    ] as const) {
      const settings = rawSettings(found, { baud: 115_200, flow });
      expect(core.ioctl(fd, SerialRequest.setSettings, settings)).toBe(0);
      const words = stty().split(/[ ;]+/);
      const raw = [
        'cs8',
        '-parenb',
        '-cstopb',
        'clocal',
        'cread',
        'ignbrk',
        '-icrnl',
        '-opost',
        '-isig',
        '-icanon',
        '-echo',
      ];
      expect(words).toEqual(expect.arrayContaining([...flags, ...raw]));
    }
    core.close(fd);
    execFileSync('stty', ['-F', path, '9600', 'cooked', 'echo', 'hupcl', '-clocal']);
    const before = stty();
    const line = openSerialLine({ path, baud: 250_000 });
    line.end('last words');
    line.resume();
    await once(line, 'close');
    expect(stty()).toBe(before);
  });

  it('is set to any speed that its driver makes', async () => {
    const { ends } = await plugPtyPair();
    const core = nativeCore();
    // Opened before, since the line is the other's alone afterwards; stty knows the usual speeds only.
    const fd = core.open(ends[0], 2);
    onTestFinished(() => void core.close(fd));
    const settings = new Uint8Array(TERMIOS_LEN);
    for (const baud of [300, 115_200, 123_457, 4_000_000]) {
      const line = openLine(ends[0], { baud });
      expect(core.ioctl(fd, SerialRequest.getSettings, settings)).toBe(0);
      expect(lineSettings(settings)).toEqual({ baud, flow: 'none' });
      const closed = once(line, 'close');
      line.destroy();
      await closed;
    }
  });

  it('is had by one at a time', async () => {
    const { ends } = await plugPtyPair();
    openLine(ends[0]);
    expect(() => openSerialLine({ path: ends[0] })).toThrow(expect.objectContaining({ code: 'VNIC_DEVICE_BUSY' }));
  });

  it('stops at XOFF and goes on at XON, and gives neither to the reader', async () => {
    const { ends } = await plugPtyPair();
    const [here, there] = [openLine(ends[0], { flow: 'software' }), openLine(ends[1])];
    await put(there, [0x13, 0x41]);
    expect([...((await once(here, 'data'))[0] as Buffer)]).toEqual([0x41]);
    let isWritten = false;
    const written = put(here, [0x42]).then(() => {
      isWritten = true;
    });
    await put(there, [0x43]);
    expect([...((await once(here, 'data'))[0] as Buffer)]).toEqual([0x43]);
    expect(isWritten).toBe(false);
    const answer = once(there, 'data');
    await put(there, [0x11]);
    await written;
    expect([...((await answer)[0] as Buffer)]).toEqual([0x42]);
  });

  it('that is unplugged ends with an error, reading or writing', async () => {
    const { ends, unplug } = await plugPtyPair();
    const [reading, writing] = [openLine(ends[0]), openLine(ends[1])];
    reading.resume();
    const failed = once(reading, 'error');
    await unplug();
    expect((await failed)[0]).toMatchObject({ code: 'VNIC_DEVICE_GONE', errno: 'EIO' });
    const refused = once(writing, 'error');
    writing.write('x');
    expect((await refused)[0]).toMatchObject({ code: 'VNIC_DEVICE_GONE' });
    expect(() => openSerialLine({ path: ends[0] })).toThrow(expect.objectContaining({ code: 'VNIC_PEER_UNREACHABLE' }));
  });

  it('is refused where it is none, and at a speed that is none', async () => {
    const file = join(freshFolder(), 'file');
    writeFileSync(file, '');
    const refused = expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT' });
    expect(() => openSerialLine({ path: file })).toThrow(refused);
    expect(() => openSerialLine({ path: '/dev/null' })).toThrow(refused);
    expect(() => openSerialLine({ path: file, baud: 0 })).toThrow(refused);
    expect(() => openSerialLine({ path: '/dev/ttyNone7' })).toThrow(
      expect.objectContaining({ code: 'VNIC_PEER_UNREACHABLE', errno: 'ENOENT' }),
    );
  });
});
