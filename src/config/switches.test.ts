import { describe, expect, it } from 'vitest';

import { formatConfig } from './format-config.ts';
import { parseConfig } from './parse-config.ts';

function mistakes(yaml: string): string[] {
  return parseConfig(yaml).mistakes.map(({ path, message }) => `${path}: ${message}`);
}

describe('switches in the file', () => {
  it('are read, and written as they were', () => {
    const text = `
switches:
  lab:
    ports:
      a: { end: "tap:t1", access: 10, isolated: true, storm: 1000 }
      b: { end: "udp:192.0.2.1:7000,medium=ethernet", trunk: "10,20", impair: "loss=1%", cost: 100 }
      c: { end: "tap:t3", trunk: 30, edge: false }
      probe: { end: "tap:p0", mirror: [a, b] }
    stp: { priority: 4096, helloTime: 1 }
    ageing: 60
  hub: { ports: { a: { end: "tap:h1" } }, hub: true }
`;
    const { config, mistakes: found } = parseConfig(text);
    expect(found).toEqual([]);
    expect(config?.switches).toEqual([
      {
        name: 'lab',
        ports: [
          ['a', { end: 'tap:t1', access: 10, isolated: true, storm: 1000 }],
          ['b', { end: 'udp:192.0.2.1:7000,medium=ethernet', trunk: '10,20', impair: 'loss=1%', cost: 100 }],
          ['c', { end: 'tap:t3', trunk: '30', edge: false }],
          ['probe', { end: 'tap:p0', mirror: ['a', 'b'] }],
        ],
        stp: { priority: 4096, helloTime: 1 },
        ageing: 60,
      },
      { name: 'hub', ports: [['a', { end: 'tap:h1' }]], hub: true },
    ]);
    if (config !== undefined) expect(parseConfig(formatConfig(config)).config).toEqual(config);
  });

  it.each([
    ['{}', 'switches.s'],
    ['{ ports: { a: {} } }', 'switches.s.ports.a'],
    ['{ ports: { a: { end: "tepid:x" } } }', 'switches.s.ports.a.end: no kind of end is called tepid'],
    ['{ ports: { a: { end: "tun:t0" } } }', 'switches.s.ports.a.end: a port carries Ethernet frames'],
    ['{ ports: { a: { end: "tap:t0", access: 4095 } } }', 'switches.s.ports.a.access:'],
    ['{ ports: { a: { end: "tap:t0", trunk: "1,x" } } }', 'switches.s.ports.a.trunk:'],
    ['{ ports: { a: { end: "tap:t0", priority: 5 } } }', 'switches.s.ports.a.priority: expected a multiple of 16'],
    ['{ ports: { a: { end: "tap:t0", mirror: [b] } } }', 'switches.s.ports.a.mirror: there is no port b'],
    ['{ ports: { a: { end: "tap:t0", mirror: [a] } } }', 'switches.s.ports.a.mirror: a shows others itself'],
    [
      '{ ports: { a: { end: "tap:t0" }, b: { end: "tap:t0" } } }',
      'switches.s.ports.b.end: t0 is an end of this switch',
    ],
    ['{ ports: { a: { end: "stdio" } } }', 'switches.s.ports.a.end: a service has no standard input'],
    [
      '{ ports: { a: { end: "tap:t0" } }, stp: { priority: 7 } }',
      'switches.s.stp.priority: expected a multiple of 4096',
    ],
    ['{ ports: { a: { end: "tap:t0" } }, vlan: 7 }', 'switches.s.vlan:'],
  ])('%s is refused with its place', (text, expected) => {
    expect(mistakes(`switches: { s: ${text} }`).join('\n')).toContain(expected);
  });

  it('shares no device and no port with a link', () => {
    const text = `
links: { l: { ends: ["tap:t0", "udp-listen:7000,medium=ethernet"] } }
switches: { s: { ports: { a: { end: "tap:t0" }, b: { end: "udp-listen:7000,medium=ethernet" } } } }
`;
    expect(mistakes(text)).toEqual([
      'switches.s.ports.a.end: t0 is an end of links.l already',
      'switches.s.ports.b.end: port 7000 is used by links.l already',
    ]);
  });
});
