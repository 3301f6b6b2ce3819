import { describe, expect, it } from 'vitest';

import { ExitStatus, errorCatalogue, invalidArgument, isVnicError, throwIfAborted, VnicError } from './errors.ts';

describe('VnicError', () => {
  const busy = new VnicError('VNIC_DEVICE_BUSY', {
    attempted: 'open TAP device "tap0"',
    reason: 'tap0 is held by qemu (pid 4711)',
    hint: 'End that process.',
    errno: 'EBUSY',
    syscall: 'ioctl(TUNSETIFF)',
  });

  it('says what was attempted, why it failed and which call refused it', () => {
    expect(busy.message).toBe(
      'cannot open TAP device "tap0": tap0 is held by qemu (pid 4711) [ioctl(TUNSETIFF): EBUSY]',
    );
  });

  it('falls back to the meaning of its code when no reason is given', () => {
    const error = new VnicError('VNIC_LINK_CLOSED', { attempted: 'write', hint: 'Open it again.' });
    expect(error.message).toBe('cannot write: The link was used after close()');
  });

  it('turns into plain data', () => {
    expect(JSON.parse(JSON.stringify(busy))).toMatchObject({ code: 'VNIC_DEVICE_BUSY', hint: 'End that process.' });
  });

  it('is told apart by code', () => {
    expect([isVnicError(busy), isVnicError(busy, 'VNIC_DEVICE_BUSY'), isVnicError(busy, 'VNIC_ABORTED')]).toEqual([
      true,
      true,
      false,
    ]);
    expect(isVnicError(new TypeError('other'))).toBe(false);
  });

  it('has an exit status for every code, never that of success', () => {
    for (const { exit, title } of Object.values(errorCatalogue)) {
      expect(ExitStatus[exit]).toBeGreaterThan(0);
      expect(title).toMatch(/^[A-Z/].*\.$/);
    }
  });
});

describe('invalidArgument', () => {
  it('says what was expected and what came', () => {
    expect(invalidArgument('set the MTU', 'a number from 68 to 65535', 67).message).toContain(
      'expected a number from 68 to 65535, got 67',
    );
  });

  it('shortens long text', () => {
    expect(invalidArgument('x', 'y', 'a'.repeat(500)).message.length).toBeLessThan(150);
  });
});

describe('throwIfAborted', () => {
  it('throws with the reason of the signal once it has fired, and not before', () => {
    const controller = new AbortController();
    throwIfAborted(controller.signal, 'wait');
    controller.abort('enough');
    let thrown: unknown;
    try {
      throwIfAborted(controller.signal, 'wait');
    } catch (error) {
      thrown = error;
    }
    expect(isVnicError(thrown, 'VNIC_ABORTED') && thrown.cause).toBe('enough');
  });
});
