import { afterEach, describe, expect, it } from 'vitest';

import { nativeCore } from './binding.ts';
import { errno } from './system-error.ts';

/** mov r0, 3; exit */
const program = Uint8Array.of(0xb7, 0, 0, 0, 3, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0);

const core = nativeCore();
const opened: number[] = [];

afterEach(() => {
  for (const fd of opened.splice(0)) core.close(fd);
});

describe('bpfLoad', () => {
  it('gives a descriptor that this environment owns, or says that this process may not', () => {
    const result = core.bpfLoad(program, undefined);
    if (result === -errno.EPERM) return;
    expect(result).toBeGreaterThan(2);
    expect(core.close(result)).toBe(0);
    expect(core.close(result)).toBe(-errno.EBADF);
  });

  it('takes a program anywhere in memory', () => {
    const shifted = new Uint8Array(program.length + 1);
    shifted.set(program, 1);
    const result = core.bpfLoad(shifted.subarray(1), undefined);
    if (result >= 0) opened.push(result);
    expect(result >= 0 || result === -errno.EPERM).toBe(true);
  });

  it('refuses no instructions and nonsense, without a descriptor', () => {
    expect(core.bpfLoad(new Uint8Array(0), undefined)).toBeLessThan(0);
    expect(core.bpfLoad(new Uint8Array(8).fill(0xff), new Uint8Array(4096))).toBeLessThan(0);
  });

  it.each<[string, unknown[]]>([
    ['too few arguments', [program]],
    ['expected a Uint8Array', [undefined, undefined]],
    ['expected a Uint8Array', [new Uint32Array(4), undefined]],
    ['expected a Uint8Array', [program, 5]],
    ['expected whole instructions and a log below 4 GiB', [program.subarray(1), undefined]],
  ])('refuses wrong arguments: %s', (message, args) => {
    expect(() => Reflect.apply(core.bpfLoad, core, args)).toThrow(message);
  });
});
