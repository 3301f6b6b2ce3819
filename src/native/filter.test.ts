import { describe, expect, it } from 'vitest';

import { nativeCore } from './binding.ts';
import { errno } from './system-error.ts';

const core = nativeCore();
/** ret #0 */
const program = Uint8Array.of(6, 0, 0, 0, 0, 0, 0, 0);

describe('tunAttachFilter', () => {
  it('says that there is no such descriptor', () => {
    expect(core.tunAttachFilter(999_999, program)).toBe(-errno.EBADF);
  });

  it.each<[string, unknown[]]>([
    ['too few arguments', [0]],
    ['expected a number', ['0', program]],
    ['expected a Uint8Array', [0, undefined]],
    ['expected 1 to 4096 whole instructions', [0, new Uint8Array(0)]],
    ['expected 1 to 4096 whole instructions', [0, program.subarray(1)]],
    ['expected 1 to 4096 whole instructions', [0, new Uint8Array(4097 * 8)]],
  ])('refuses wrong arguments: %s', (message, args) => {
    expect(() => Reflect.apply(core.tunAttachFilter, core, args)).toThrow(message);
  });
});
