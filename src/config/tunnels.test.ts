import { describe, expect, it } from 'vitest';

import { formatConfig } from './format-config.ts';
import { parseConfig } from './parse-config.ts';

const key = `sha256:${'A'.repeat(43)}`;

function mistakes(yaml: string): string[] {
  return parseConfig(yaml).mistakes.map(({ path, message }) => `${path}: ${message}`);
}

describe('tunnels in the file', () => {
  it('are read, and written as they were', () => {
    const text = `
tunnels:
  hub:
    listen: "7000"
    addresses: [10.9.0.1/24, "fd09::1/64"]
    routes: [10.1.2.3/8]
    clients: { laptop: { key: "${key}", addresses: [10.9.0.7/24] } }
    masquerade: true
  home: { connect: "wss:vpn.example:443/t", pin: ["${key}"], defaultRoute: true, killSwitch: true }
`;
    const { config } = parseConfig(text);
    expect(config?.tunnels).toEqual([
      {
        name: 'hub',
        listen: '7000',
        addresses: ['10.9.0.1/24', 'fd09::1/64'],
        routes: ['10.0.0.0/8'],
        clients: [['laptop', { key, addresses: ['10.9.0.7/24'] }]],
        masquerade: true,
      },
      { name: 'home', connect: 'wss:vpn.example:443/t', pin: [key], defaultRoute: true, killSwitch: true },
    ]);
    if (config !== undefined) expect(parseConfig(formatConfig(config)).config).toEqual(config);
  });

  it.each([
    ['{}', 'tunnels.t: expected either listen or connect'],
    ['{ listen: "7000", connect: "a:1", addresses: [10.9.0.1/24] }', 'tunnels.t: expected either listen or connect'],
    ['{ listen: "7000" }', 'tunnels.t: a side that listens needs addresses'],
    ['{ listen: "70000", addresses: [10.9.0.1/24] }', 'tunnels.t.listen:'],
    ['{ connect: "7000" }', 'tunnels.t.connect:'],
    ['{ connect: "udp:a:7000" }', 'tunnels.t.connect: over UDP nothing is encrypted'],
    ['{ connect: "a:7000", masquerade: true }', 'tunnels.t.masquerade: masquerade has no meaning with connect'],
    ['{ listen: "1", addresses: [10.9.0.1/24], pin: [] }', 'tunnels.t.pin: pin has no meaning with listen'],
    ['{ connect: "a:7000", killSwitch: true }', 'tunnels.t.killSwitch: killSwitch needs defaultRoute'],
    ['{ connect: "a:7000", bridge: br0 }', 'tunnels.t.bridge: a TUN device cannot be a port of a bridge'],
    ['{ connect: "a:7000", certificate: a.pem }', 'tunnels.t: certificate and privateKey belong together'],
    ['{ connect: "a:7000", pin: ["sha256:x"] }', 'tunnels.t.pin[0]:'],
    ['{ listen: "1", addresses: [10.9.0.1] }', 'tunnels.t.addresses[0]:'],
    ['{ listen: "1", addresses: [10.9.0.1/24], clients: { a: {} } }', 'tunnels.t.clients.a'],
    ['{ connect: "a:7000", devise: x }', 'tunnels.t'],
  ])('%s is refused', (tunnel, expected) => {
    expect(mistakes(`tunnels: { t: ${tunnel} }`).join('\n')).toContain(expected);
  });
});
