/**
 * The options of a link in the file, beside its ends: all that is known of one stands here, its type, its schema and what it is
 * for `joinEnds`. The reader, the writer and the service take them as they are.
 */

import type { JoinOptions } from '../ends/index.ts';
import { choice, type Fields, integer } from './schema.ts';

/** Options of a link. What is left out is as of `vnic link`. */
export interface LinkOptionsConfig {
  /** What is done while an end takes nothing. Default `drop-oldest`. */
  readonly policy?: 'wait' | 'drop-newest' | 'drop-oldest';
  /** Packets that wait meanwhile, each way. Default 256. */
  readonly queue?: number;
}

/** Their schema. */
export const linkOptionFields: Fields<LinkOptionsConfig> = {
  policy: {
    schema: choice('wait', 'drop-newest', 'drop-oldest'),
    about:
      'While an end takes nothing: lose the oldest packets that wait, or the newest, or read no more of the other end',
    default: 'drop-oldest',
  },
  queue: { schema: integer(1, 1_048_576), about: 'Packets that wait meanwhile, each way', default: 256 },
};

/** The options as `joinEnds` takes them. */
export function joinOptionsOf({ policy, queue }: LinkOptionsConfig): JoinOptions {
  return { ...(policy !== undefined && { policy }), ...(queue !== undefined && { queuePackets: queue }) };
}
