import { describe, expect, it } from 'vitest';

import { formatConfig } from './format-config.ts';
import { joinOptionsOf } from './link-options.ts';
import { formatMistake } from './mistake.ts';
import { parseConfig } from './parse-config.ts';

/** `line:column path message`, as `formatMistake` begins. */
const mistakesOf = (text: string): string[] =>
  parseConfig(text).mistakes.map((mistake) => (formatMistake('', mistake).split('\n')[0] ?? '').slice(1));

const link = (ends: string, more = ''): string => `links:\n  l: { ends: [${ends}]${more} }\n`;

describe('links of the file', () => {
  it('are two ends in the grammar of `vnic link`, and options', () => {
    const { config } = parseConfig(
      link('"tun:tun0,address=10.9.0.1/24", "udp:[2001:db8::1]:7000"', ', policy: wait, queue: 16'),
    );
    expect(config?.links).toEqual([
      { name: 'l', ends: ['tun:tun0,address=10.9.0.1/24', 'udp:[2001:db8::1]:7000'], policy: 'wait', queue: 16 },
    ]);
    expect(config && parseConfig(formatConfig(config)).config).toEqual(config);
  });

  it('take what lies between the ends as the command does', () => {
    const { config } = parseConfig(
      link(
        'tun:tun0, echo:10.0.0.2',
        ', impair: "delay=20ms", impairOut: loss=1%, shapeIn: 10mbit, clampMss: 1300, seed: 3',
      ),
    );
    const [first] = config?.links ?? [];
    expect(first && joinOptionsOf(first)).toMatchObject({
      impair: { aToB: { delayMs: 20, loss: 0.01 }, bToA: { delayMs: 20 }, seed: 3 },
      shape: { bToA: { rateBitsPerSecond: 10_000_000 } },
      clampMss: 1300,
    });
    expect(config && parseConfig(formatConfig(config)).config).toEqual(config);
    expect(mistakesOf(link('tun:a, echo:10.0.0.2', ', impair: "delay=soon"'))[0]).toContain('links.l.impair');
    expect(mistakesOf(link('tun:a, echo:10.0.0.2', ', clampMss: 10'))[0]).toContain('links.l.clampMss');
  });

  it.each([
    [link('"tun:tun0"'), ['2:14: links.l.ends: found 1, expected a list of two']],
    [link('tun:a, tun:b, tun:c'), ['2:14: links.l.ends: found 3, expected a list of two']],
    ['links: { l: {} }\n', ['1:13: links.l: ends is missing']],
    ['links: { "a b": { ends: [null, null] } }\n', ['1:10: links.a b: found "a b", expected a name of up to']],
    [link('tun:a, echo:10.0.0.2', ', queue: 0'), ['2:45: links.l.queue: found 0, expected a whole number from 1']],
    [
      link('tun:a, echo:10.0.0.2', ', policy: drop'),
      ['2:46: links.l.policy: found "drop", expected wait, drop-newest'],
    ],
  ])('says what is wrong with the shape of %j', (text, expected) => {
    const found = mistakesOf(text);
    expect(found).toHaveLength(expected.length);
    for (const [i, start] of expected.entries()) expect(found[i]).toContain(start);
  });

  // Where the end begins: column 15, or 16 behind a quote.
  it.each([
    [link('tunn:tun0, "null"'), '2:15: links.l.ends[0]: no kind of end is called tunn'],
    [link('"tunn:tun0", "null"'), '2:16: links.l.ends[0]: no kind of end is called tunn'],
    [link('"tun:t,adress=10.0.0.1/24", "null"'), '2:22: links.l.ends[0]: tun has no option "adress"'],
    [link('"tun:t,address=10.0.0.1", "null"'), '2:30: links.l.ends[0]: expected an address with its prefix length'],
    [link('"tun:t,mtu=9", "null"'), '2:26: links.l.ends[0]: expected a whole number from 68 to 65535, found "9"'],
    [link('"tun:t,mtu=1000,address=fd00::1/64", "null"'), '2:22: links.l.ends[0]: the IPv6 address fd00::1/64 needs'],
    [link('"tun:a-name-that-is-too-long", "null"'), '2:20: links.l.ends[0]: the name has 23 bytes'],
    [link('"tap:t,mac=1", "null"'), '2:26: links.l.ends[0]: expected a MAC address, found "1"'],
    [link('"tcp:h:1,framing=spli", "null"'), '2:32: links.l.ends[0]: expected one of length'],
    [link('"tcp:h:1,medium=x", "null"'), '2:31: links.l.ends[0]: expected ip or ethernet, found "x"'],
    [link('"udp:2001:db8::1:7000", "null"'), '2:20: links.l.ends[0]: expected HOST:PORT'],
    [link('"udp:h:1,port=70000", "null"'), '2:29: links.l.ends[0]: expected a port'],
    [link('"echo:10.0.0.300", "null"'), '2:21: links.l.ends[0]: '],
    [link('stdio, "null"'), '2:15: links.l.ends[0]: a service has no standard input'],
    // Escapes move what follows: then the whole end is meant.
    [link('"tun:t\\x2cadress=1", "null"'), '2:15: links.l.ends[0]: tun has no option "adress"'],
    [
      'links:\n  l:\n    ends:\n      - "null"\n      - tun:t,mtu=9\n',
      '5:19: links.l.ends[1]: expected a whole number',
    ],
    [link('tun:a, tap:b'), '2:14: links.l.ends: tun:a carries IP packets, and tap:b Ethernet frames'],
    [link('tun:a, "tcp:h:1,medium=ethernet"'), '2:14: links.l.ends: tun:a carries IP packets'],
  ])('points into the text of an end: %j', (text, expected) => {
    const found = mistakesOf(text);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(expected);
  });

  const two = (first: string, second: string): string =>
    `links:\n  a: { ends: ["${first}", "null"] }\n  b: { ends: ["${second}", "null"] }\n`;

  it.each([
    [two('tun:tun0', 'tun:tun0'), '3:20: links.b.ends[0]: tun0 is an end of links.a already'],
    [two('tcp-listen:7000', 'qemu-listen:7000'), '3:28: links.b.ends[0]: port 7000 is used by links.a already'],
    [two('udp-listen:0.0.0.0:7000', 'udp:192.0.2.1:9,port=7000'), '3:20: links.b.ends[0]: port 7000 is used'],
    [two('tls-listen:7000', 'ws-listen:7000/vnic'), '3:26: links.b.ends[0]: port 7000 is used by links.a already'],
    [two('tcp-listen:[::]:7000', 'tcp-listen:127.0.0.1:7000'), '3:27: links.b.ends[0]: port 7000 is used'],
    [two('unix-listen:/run/a', 'unix-listen:/run/a'), '3:28: links.b.ends[0]: /run/a is used by links.a already'],
    [link('tun:a, tun:a'), '2:26: links.l.ends[1]: a is an end of this link already'],
  ])('finds two that cannot be open at once: %j', (text, expected) => {
    expect(mistakesOf(text)).toEqual([expect.stringContaining(expected)]);
  });

  it.each([
    [two('tun:tun0', 'tun:tun1')],
    [two('tun:tun0', 'tun:tun0,netns=lab')],
    [two('tun', 'tun')],
    [two('tun:tun%d', 'tun:tun%d')],
    [two('tcp-listen:7000', 'udp-listen:7000')],
    [two('tcp-listen:127.0.0.1:7000', 'tcp-listen:127.0.0.2:7000')],
    [two('tcp-listen:0.0.0.0:7000', 'tcp-listen:[::1]:7000')],
    [two('udp-listen:0', 'udp-listen:0')],
    [two('udp:h:7000', 'udp:h:7000')],
    ['devices: { tun0: { kind: tun, addresses: [10.0.0.1/24] } }\nlinks: { a: { ends: [tun:tun0, "null"] } }\n'],
    ['devices: { tun0: { mtu: 1400 } }\nlinks: { a: { ends: [tun:tun0, "null"] } }\n'],
    ['devices: { d: { name: tun0, kind: tap, namespace: lab } }\nlinks: { a: { ends: [tun:tun0, "null"] } }\n'],
  ])('takes %j', (text) => {
    expect(mistakesOf(text)).toEqual([]);
  });

  it.each([
    ['kind: tap', 'tun:x0', '2:23: links.a.ends[0]: devices.x0 is of kind tap, expected tun'],
    ['kind: bridge', 'tap:x0', '2:23: links.a.ends[0]: devices.x0 is of kind bridge, expected tap'],
    ['kind: tun', 'tun:x0,mtu=1400', '2:30: links.a.ends[0]: x0 is a device of devices.x0'],
    ['mtu: 1400', 'tun:x0,address=10.0.0.1/24', '2:30: links.a.ends[0]: x0 is a device of devices.x0'],
    ['kind: tap', 'tap:x0,bridge=br0', '2:30: links.a.ends[0]: x0 is a device of devices.x0'],
  ])('holds a link to what devices say: { %s } and %s', (device, end, expected) => {
    const found = mistakesOf(`devices: { x0: { ${device} } }\nlinks: { a: { ends: ["${end}", "null"] } }\n`);
    expect(found).toEqual([expect.stringContaining(expected)]);
  });

  it('take the word null for the end of that name', () => {
    expect(parseConfig(link('tun:a, null')).config?.links[0]?.ends).toEqual(['tun:a', 'null']);
    expect(mistakesOf(link('tun:a, ~'))).toEqual([expect.stringContaining('2:22: links.l.ends[1]: found nothing')]);
  });

  it('proposes what was meant', () => {
    expect(parseConfig(link('tun:a, "null"', ', queu: 1')).mistakes[0]?.hint).toBe('Did you mean queue?');
    expect(parseConfig(link('"udp:2001:db8::1:7000", "null"')).mistakes[0]?.hint).toContain('brackets');
  });
});
