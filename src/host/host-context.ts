/** What the parts of one responder share. */

import type { RateLimiter } from '../base/index.ts';
import type { AddressSet } from './address-set.ts';
import type { MutableResponderCounters } from './counters.ts';
import type { HostMacs } from './host-macs.ts';
import type { ResponderConfig } from './options.ts';
import type { Reassembler } from './reassembly.ts';
import type { ReplySender } from './reply-sender.ts';

export interface HostContext {
  readonly config: ResponderConfig;
  readonly addresses: AddressSet;
  readonly macs: HostMacs;
  readonly counters: MutableResponderCounters;
  readonly sender: ReplySender;
  readonly reassembler: Reassembler;
  readonly errorLimiter: RateLimiter;
}
