import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { configJsonSchema } from './config-schema.ts';
import { formatConfig } from './format-config.ts';
import { formatMistake } from './mistake.ts';
import { parseConfig } from './parse-config.ts';

/** `line:column path message`, as `formatMistake` begins. */
const mistakesOf = (text: string): string[] =>
  parseConfig(text).mistakes.map((mistake) => (formatMistake('', mistake).split('\n')[0] ?? '').slice(1));

const of = (device: string): string => `devices:\n  x0: { ${device} }\n`;

describe('parseConfig', () => {
  it.each([
    ['nothing', ''],
    ['a comment alone', '# nothing yet\n'],
    ['an empty mapping', '{}'],
    ['a byte order mark and CRLF', '\uFEFFdevices:\r\n  tun0: { kind: tun }\r\n'],
    ['JSON', '{"devices": {"tun0": {"kind": "tun"}}}'],
    ['an alias', 'devices:\n  a: &a { kind: tun }\n  b: *a\n'],
  ])('takes %s', (_, text) => {
    expect(mistakesOf(text)).toEqual([]);
  });

  it('writes short forms out and addresses in their canonical form', () => {
    const { config } = parseConfig(`
devices:
  tap0:
    kind: tap
    mac: 02:00:00:00:AB:01
    addresses: ["FD00:0::1/64"]
    routes: [10.1.0.0/16, { to: default, via: 10.0.0.2 }, { to: default, via: "fd00::2" }]
    sysctls: { ipv4.forwarding: 1 }
`);
    expect(config?.devices).toEqual([
      {
        id: 'tap0',
        name: 'tap0',
        kind: 'tap',
        mac: '02:00:00:00:ab:01',
        up: true,
        altNames: [],
        addresses: ['fd00::1/64'],
        routes: [{ to: '10.1.0.0/16' }, { to: '0.0.0.0/0', via: '10.0.0.2' }, { to: '::/0', via: 'fd00::2' }],
        neighbours: [],
        sysctls: { 'ipv4.forwarding': '1' },
      },
    ]);
  });

  it.each([
    ['- a\n', ['1:1: found a list, expected a mapping']],
    ['device: {}\n', ['1:1: device: is not known']],
    ['machines: {}\n', ['1:1: machines: this version has no machines yet']],
    ['__proto__: {}\n', ['1:1: __proto__: is not known']],
    ['version: 2\n', ['1:10: version: found 2, expected a whole number from 1 to 1']],
    ['devices:\n  x0:\n', ['2:3: devices.x0: found nothing behind the key']],
    ['devices:\n', ['1:1: devices: found nothing behind the key']],
    ['devices:\n  x0: tap\n', ['2:7: devices.x0: found "tap", expected a mapping']],
    ['devices: { a: {kind: tun}, a: {kind: tap} }\n', ['1:28: the key is there already']],
    ['devices:\n  "a b": { kind: tun }\n', ['2:3: devices.a b: found "a b": the name contains a space']],
    [
      'devices:\n  a-name-that-is-too-long: {}\n',
      [
        '2:3: devices.a-name-that-is-too-long: found "a-name-that-is-too-long": the name has 23 bytes, the kernel takes 15',
      ],
    ],
    [of('mtu: 67'), ['2:14: devices.x0.mtu: found 67, expected a whole number from 68 to 65535']],
    [of('mtu: 1.5'), ['2:14: devices.x0.mtu: found 1.5, expected a whole number from 68 to 65535']],
    [of('mtu: "1500"'), ['2:14: devices.x0.mtu: found "1500", expected a whole number from 68 to 65535']],
    [of('up: yes'), ['2:13: devices.x0.up: found "yes", expected true or false']],
    [
      of('kind: tun, mac: "02:00:00:00:00:01"'),
      ['2:25: devices.x0.mac: a TUN device carries IP packets and has no MAC address'],
    ],
    [
      of('kind: tap, mac: "01:00:00:00:00:01"'),
      ['2:25: devices.x0.mac: found "01:00:00:00:00:01", expected the MAC address of one interface'],
    ],
    [of('addresses: 10.0.0.1/24'), ['2:20: devices.x0.addresses: found "10.0.0.1/24", expected a list']],
    [
      of('addresses: [10.0.0.1]'),
      [
        '2:21: devices.x0.addresses[0]: found "10.0.0.1", expected an address with its prefix length, such as 10.0.0.1/24',
      ],
    ],
    [
      of('addresses: [10.0.0.1/24, 10.0.0.1/33]'),
      ['2:34: devices.x0.addresses[1]: found "10.0.0.1/33", expected a prefix length from 0 to 32'],
    ],
    [of('addresses: [10.0.0.1/24, 10.0.0.1/24]'), ['2:20: devices.x0.addresses: 10.0.0.1/24 is there twice']],
    [
      of('mtu: 1000, addresses: ["fd00::1/64"]'),
      ['2:14: devices.x0.mtu: found 1000, expected at least 1280 for the IPv6 address fd00::1/64'],
    ],
    [
      of('routes: [10.1.0.1/16]'),
      ['2:18: devices.x0.routes[0]: found "10.1.0.1/16", expected a prefix without host bits, 10.1.0.0/16'],
    ],
    [of('routes: [{ via: 10.0.0.1 }]'), ['2:18: devices.x0.routes[0]: to is missing']],
    [
      of('routes: [{ to: "fd00::/64", via: 10.0.0.1 }]'),
      ['2:17: devices.x0.routes: the gateway 10.0.0.1 is of another family than fd00::/64'],
    ],
    [
      of('kind: tun, up: false, routes: [10.1.0.0/16]'),
      ['2:24: devices.x0.up: the kernel keeps routes and neighbours only on a device that is up'],
    ],
    [of('owner: root'), ['2:16: devices.x0.owner: a device that vnic does not make cannot have owner']],
    [
      of('kind: bridge, multiQueue: true'),
      ['2:35: devices.x0.multiQueue: a device of kind bridge cannot have multiQueue'],
    ],
    [of('kind: veth'), ['2:3: devices.x0: peer is missing']],
    [of('kind: tap, bridge: x0'), ['2:28: devices.x0.bridge: x0 is of kind tap, expected a bridge']],
    [
      'sysctls: { kernel.pid_max: 1 }\n',
      [
        '1:12: sysctls.kernel.pid_max: found "kernel.pid_max", expected the name of a kernel setting, such as net.ipv4.ip_forward',
      ],
    ],
    ['sysctls: { net.ipv4.x: {} }\n', ['1:24: sysctls.net.ipv4.x: found a mapping, expected a number or text']],
    [
      'rules: [{ priority: 1, table: 2, from: 10.0.0.0/8, to: "fd00::/8" }]\n',
      ['1:8: rules[0]: 10.0.0.0/8 and fd00::/8 are of different families'],
    ],
    ['devices:\n\tx0: {}\n', ['2:1: tabs are not allowed as indentation']],
  ])('says where and what is wrong with %j', (text, expected) => {
    expect(mistakesOf(text)).toEqual(expected);
  });

  it('tells all mistakes at once, in the order of the file', () => {
    expect(mistakesOf('devices:\n  x0: { kind: tun, mtu: 1 }\n  x1: { kid: tap }\nrule: []\n')).toEqual([
      '2:25: devices.x0.mtu: found 1, expected a whole number from 68 to 65535',
      '3:9: devices.x1.kid: is not known',
      '4:1: rule: is not known',
    ]);
  });

  it.each([
    ['devices: { x0: { kidn: tap } }', 'Did you mean kind?'],
    ['devices: { x0: { tx-queue-len: 5 } }', 'Did you mean txQueueLen?'],
    ['device: {}', 'Did you mean devices?'],
    ['devices: { x0: { kind: brigde } }', 'Did you mean bridge?'],
    ['devices: { x0: { up: "on" } }', 'Did you mean true?'],
    ['devices: { x0: { owner: true, kind: tap } }', 'Put it in quotes.'],
    [
      'frobnicate: {}',
      'Known here: version, devices, namespaces, sysctls, rules, masquerade, links, tunnels, switches.',
    ],
  ])('proposes for %j: %s', (text, hint) => {
    expect(parseConfig(text).mistakes[0]?.hint).toBe(hint);
  });

  it('does not get lost in a file that is too long, or in aliases of aliases', () => {
    expect(mistakesOf(`#${'x'.repeat(17 * 1024 * 1024)}`)).toEqual([
      '1:1: the file has 17825793 characters, expected at most 16777216',
    ]);
    const levels = Array.from({ length: 30 }, (_, i) => `a${i}: &a${i} [${i === 0 ? '1' : `*a${i - 1}, *a${i - 1}`}]`);
    expect(mistakesOf(levels.join('\n'))).toHaveLength(30);
  });
});

describe('formatMistake', () => {
  it('shows the line with a caret under what is meant', () => {
    const [mistake] = parseConfig('devices:\n  x0: { mtu: 99999 }\n').mistakes;
    expect(mistake && formatMistake('a.yaml', mistake)).toBe(
      [
        'a.yaml:2:14: devices.x0.mtu: found 99999, expected a whole number from 68 to 65535',
        '      x0: { mtu: 99999 }',
        '                 ^^^^^',
      ].join('\n'),
    );
  });
});

describe('the JSON Schema', () => {
  it('in docs is the one that the reader is made of (`npm run schema` writes it)', () => {
    expect(JSON.parse(readFileSync('docs/vnic.schema.json', 'utf8'))).toEqual(configJsonSchema);
  });
});

describe('docs/config.md', () => {
  const text = readFileSync('docs/config.md', 'utf8');
  const blocks = [...text.matchAll(/```yaml\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');

  it('has examples that have no mistakes, and come out the same when they are written again', () => {
    expect(blocks.length).toBeGreaterThan(5);
    for (const block of blocks) {
      const { config, mistakes } = parseConfig(block);
      expect(mistakes.map((mistake) => formatMistake('docs/config.md', mistake))).toEqual([]);
      expect(config && parseConfig(formatConfig(config)).config).toEqual(config);
    }
  });

  it('names every key', () => {
    const keys = (schema: unknown): string[] => {
      if (typeof schema !== 'object' || schema === null) return [];
      const { properties = {} } = schema as { properties?: object };
      return [...Object.keys(properties), ...Object.values(schema).flatMap(keys)];
    };
    expect(keys(configJsonSchema).filter((key) => !text.includes(`\`${key}\``) && !text.includes(`${key}:`))).toEqual(
      [],
    );
  });
});
