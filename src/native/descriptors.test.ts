import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

import { errno, nativeCore } from './index.ts';

const core = nativeCore();

describe('a descriptor', () => {
  it('is closed by its owner only: one that was handed over no more, one that was taken over from then on', () => {
    const fd = core.open('/dev/null', constants.O_RDWR);
    expect(core.disown(fd)).toBe(fd);
    expect([core.disown(fd), core.close(fd)]).toEqual([-errno.EBADF, -errno.EBADF]);
    expect(fstatSync(fd).isCharacterDevice()).toBe(true);
    closeSync(fd);
    const foreign = openSync('/dev/null', 'r');
    expect(core.close(foreign)).toBe(-errno.EBADF);
    expect(core.own(foreign)).toBe(foreign);
    expect(core.close(foreign)).toBe(0);
    expect(() => fstatSync(foreign)).toThrow(expect.objectContaining({ code: 'EBADF' }));
  });

  it('is refused with the errno of the system call when there is none', () => {
    expect(core.open('/nonexistent', constants.O_RDONLY)).toBe(-errno.ENOENT);
    expect(core.own(1 << 20)).toBe(-errno.EBADF);
  });
});
