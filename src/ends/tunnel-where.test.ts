import { describe, expect, it } from 'vitest';

import { isVnicError } from '../base/index.ts';
import { formatTunnelWhere, parseTunnelWhere } from './tunnel-where.ts';

describe('where a tunnel is', () => {
  it.each([
    ['192.0.2.1:7000', { carrier: 'tls', host: '192.0.2.1', port: 7000, path: '/' }],
    ['vpn.example:443', { carrier: 'tls', host: 'vpn.example', port: 443, path: '/' }],
    ['tls:[2001:db8::1]:7000', { carrier: 'tls', host: '2001:db8::1', port: 7000, path: '/' }],
    ['[::1]:7000', { carrier: 'tls', host: '::1', port: 7000, path: '/' }],
    ['wss:vpn.example:443/a/b', { carrier: 'wss', host: 'vpn.example', port: 443, path: '/a/b' }],
    ['udp:192.0.2.1:7000', { carrier: 'udp', host: '192.0.2.1', port: 7000, path: '/' }],
  ])('%s', (text, expected) => {
    expect(parseTunnelWhere(text, 'connect')).toEqual(expected);
    expect(parseTunnelWhere(formatTunnelWhere(parseTunnelWhere(text, 'connect')), 'connect')).toEqual(expected);
  });

  it('may leave the host out where it listens', () => {
    expect(parseTunnelWhere('7000', 'listen')).toEqual({ carrier: 'tls', host: '', port: 7000, path: '/' });
    expect(parseTunnelWhere('udp:0', 'listen')).toEqual({ carrier: 'udp', host: '', port: 0, path: '/' });
    expect(formatTunnelWhere(parseTunnelWhere('7000', 'listen'))).toBe('*:7000');
  });

  it.each([
    '',
    '7000',
    'host',
    'host:',
    'host:0',
    'host:65536',
    'host:70000000',
    'udp:7000',
    '2001:db8::1:7000',
    'host:7000/path',
    'quic:host:7000:1',
    'host:7 ',
  ])('%j is refused', (text) => {
    try {
      parseTunnelWhere(text, 'connect');
      expect.unreachable();
    } catch (error) {
      expect(isVnicError(error, 'VNIC_INVALID_ARGUMENT')).toBe(true);
    }
  });
});
