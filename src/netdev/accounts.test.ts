import { describe, expect, it } from 'vitest';

import { isVnicError, type VnicErrorCode } from '../base/index.ts';
import { groupName, resolveGroup, resolveUser, userName } from './accounts.ts';

async function codeOf(promise: Promise<unknown>): Promise<VnicErrorCode | undefined> {
  const error = await promise.catch((caught: unknown) => caught);
  return isVnicError(error) ? error.code : undefined;
}

describe('accounts', () => {
  it('resolves names by the local files', async () => {
    expect(await resolveUser('root')).toBe(0);
    expect(await resolveGroup('root')).toBe(0);
    expect(await userName(0)).toBe('root');
    expect(await groupName(0)).toBe('root');
  });

  it('takes a number as it is, whether an account has it or not', async () => {
    expect(await resolveUser('0')).toBe(0);
    expect(await resolveUser('2147483647')).toBe(2_147_483_647);
    expect(await resolveGroup('54321')).toBe(54_321);
  });

  it('has no name for an id that no account has', async () => {
    expect(await userName(1_999_999_999)).toBeUndefined();
    expect(await groupName(1_999_999_999)).toBeUndefined();
  });

  it.each([
    '',
    'no-such-user-here',
    '--help',
    '-1',
    '2147483648',
    '4294967295',
    '0x0',
    '1.5',
    'root:x',
    'a b',
    'root\n',
  ])('refuses %j', async (text) => {
    expect(await codeOf(resolveUser(text))).toBe('VNIC_NO_SUCH_USER');
    expect(await codeOf(resolveGroup(text))).toBe('VNIC_NO_SUCH_GROUP');
  });
});
