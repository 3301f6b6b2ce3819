/**
 * User and group names to ids and back.
 *
 * The local files come first; what is not there is asked of `getent`, which knows the name services (LDAP,
 * systemd) that a program without the C library's NSS cannot reach.
 */

import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

import { VnicError } from '../base/index.ts';

type Database = 'passwd' | 'group';

/** TUNSETOWNER and TUNSETGROUP take a C `int` from us, and -1 is their "none". */
const MAX_ID = 0x7fff_ffff;

const GETENT_TIMEOUT_MS = 5000;

/** The uid of a user name, or of a number as text. @throws VNIC_NO_SUCH_USER */
export async function resolveUser(user: string): Promise<number> {
  const id = await resolveId('passwd', user);
  if (id !== undefined) return id;
  throw new VnicError('VNIC_NO_SUCH_USER', {
    attempted: `find the user ${JSON.stringify(user)}`,
    hint: `Pass the name of a user (\`getent passwd\` lists them) or a uid from 0 to ${MAX_ID}.`,
  });
}

/** The gid of a group name, or of a number as text. @throws VNIC_NO_SUCH_GROUP */
export async function resolveGroup(group: string): Promise<number> {
  const id = await resolveId('group', group);
  if (id !== undefined) return id;
  throw new VnicError('VNIC_NO_SUCH_GROUP', {
    attempted: `find the group ${JSON.stringify(group)}`,
    hint: `Pass the name of a group (\`getent group\` lists them) or a gid from 0 to ${MAX_ID}.`,
  });
}

/** The name of a uid; undefined when it has none. */
export async function userName(uid: number): Promise<string | undefined> {
  return (await findEntry('passwd', ({ id }) => id === uid, String(uid)))?.name;
}

/** The name of a gid; undefined when it has none. */
export async function groupName(gid: number): Promise<string | undefined> {
  return (await findEntry('group', ({ id }) => id === gid, String(gid)))?.name;
}

interface Account {
  readonly name: string;
  readonly id: number;
}

async function resolveId(database: Database, text: string): Promise<number | undefined> {
  if (/^[0-9]{1,10}$/.test(text)) return Number(text) <= MAX_ID ? Number(text) : undefined;
  // Names that no account has; `getent` would take the first for an option.
  if (text === '' || text.startsWith('-') || /[:\s\0]/.test(text)) return undefined;
  const found = await findEntry(database, ({ name }) => name === text, text);
  return found !== undefined && found.id <= MAX_ID ? found.id : undefined;
}

async function findEntry(
  database: Database,
  matches: (account: Account) => boolean,
  key: string,
): Promise<Account | undefined> {
  const local = parseAccounts(await readLocal(database)).find(matches);
  return local ?? parseAccounts(await runGetent(database, key)).find(matches);
}

/** Lines of passwd(5) and group(5): `name:password:id:…`. */
function parseAccounts(text: string): Account[] {
  const accounts: Account[] = [];
  for (const line of text.split('\n')) {
    const [name = '', , id = ''] = line.split(':');
    if (name !== '' && /^[0-9]{1,10}$/.test(id)) accounts.push({ name, id: Number(id) });
  }
  return accounts;
}

async function readLocal(database: Database): Promise<string> {
  try {
    return await readFile(`/etc/${database}`, 'utf8');
  } catch {
    // A container image may have none: the numbers are shown instead.
    return '';
  }
}

async function runGetent(database: Database, key: string): Promise<string> {
  try {
    return (await promisify(execFile)('getent', [database, key], { timeout: GETENT_TIMEOUT_MS })).stdout;
  } catch {
    // Status 2: no such key. No getent (musl): no other name service either.
    return '';
  }
}
