/** Users and groups of a configuration as numbers, each name looked up once. */

import type { Config } from '../config/index.ts';
import { resolveGroup, resolveUser } from '../netdev/index.ts';

/** Ids by the text that the configuration has. */
export interface Accounts {
  readonly users: ReadonlyMap<string, number>;
  readonly groups: ReadonlyMap<string, number>;
}

/** @throws VNIC_NO_SUCH_USER, VNIC_NO_SUCH_GROUP */
export async function resolveAccounts({ devices }: Config): Promise<Accounts> {
  const users = new Map<string, number>();
  const groups = new Map<string, number>();
  for (const { owner, group } of devices) {
    if (owner !== undefined && !users.has(owner)) users.set(owner, await resolveUser(owner));
    if (group !== undefined && !groups.has(group)) groups.set(group, await resolveGroup(group));
  }
  return { users, groups };
}
