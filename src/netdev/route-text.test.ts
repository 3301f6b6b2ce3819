import { describe, expect, it } from 'vitest';

import { isVnicError } from '../base/index.ts';
import { parseDeviceRoute } from './route-text.ts';

function text(route: string): string {
  return JSON.stringify(parseDeviceRoute(route));
}

describe('parseDeviceRoute', () => {
  it('reads a destination with its gateway and metric, in any order', () => {
    expect(text('10.1.0.0/16')).toBe('{"destination":"10.1.0.0/16"}');
    expect(text('10.1.2.3')).toBe('{"destination":"10.1.2.3/32"}');
    expect(text('fd00:1::/32,via=fd00::2,metric=50')).toBe('{"destination":"fd00:1::/32","via":"fd00::2","metric":50}');
    expect(text('0.0.0.0/0,metric=0,via=10.0.0.2')).toBe('{"destination":"0.0.0.0/0","via":"10.0.0.2","metric":0}');
    expect(text('default,via=fd00::2')).toBe('{"destination":"default","via":"fd00::2"}');
  });

  it.each([
    ...[
      '',
      ',',
      'default',
      '10.0.0.1/8',
      '10.0.0.0/33',
      '10.0.0.0/8,',
      '10.0.0.0/8,via',
      '10.0.0.0/8,via=',
      '10.0.0.0/8,metric=',
    ],
    ...[
      '10.0.0.0/8,metric=-1',
      '10.0.0.0/8,metric=4294967296',
      '10.0.0.0/8,metric=0x10',
      '10.0.0.0/8,dev=lo',
      '10.0.0.0/8,=1',
    ],
    ...[
      '10.0.0.0/8,via=10.0.0.2,via=10.0.0.3',
      '10.0.0.0/8,metric=1,metric=2',
      '10.0.0.0/8, via=10.0.0.2',
      'via=10.0.0.2',
    ],
  ])('refuses %j', (route) => {
    let caught: unknown;
    try {
      parseDeviceRoute(route);
    } catch (error) {
      caught = error;
    }
    expect(isVnicError(caught) && caught.exitStatus).toBe(2);
  });
});
