/**
 * Keeps the sanitizers to this process, when `npm test -- sanitize` has put them here: the programs that tests
 * start (`ip`, `ping`, node in a loop) shall be what users have, and at their normal speed.
 */

import { readFileSync } from 'node:fs';

import { afterAll, expect } from 'vitest';

import { nativeCore } from '../../src/native/index.ts';

const sanitized = process.env['VNIC_NATIVE'];

if (sanitized !== undefined) {
  nativeCore();
  // The library is loaded, so only children would still read these; a node without the first cannot load the second.
  for (const name of ['LD_PRELOAD', 'VNIC_NATIVE']) Reflect.deleteProperty(process.env, name);

  afterAll(() => {
    const loaded = readFileSync('/proc/self/maps', 'utf8');
    expect(loaded).toContain(sanitized);
    expect(loaded).not.toContain('/build/vnic.node');
  });
}
