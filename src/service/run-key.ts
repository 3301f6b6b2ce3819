/** What files of a service are called by. */

import { createHash } from 'node:crypto';

import { namespaceIdentity } from '../journal/index.ts';

/** What is the same for one configuration file in one network namespace, and no other. */
export function runKey(config: string): string {
  const { id, cookie } = namespaceIdentity();
  const place = cookie || id.replace(/\D/g, '');
  return `${createHash('sha256').update(config).digest('hex').slice(0, 12)}-${place}`;
}
