/**
 * The options of a link in the file, beside its ends: all that is known of one stands here, its type, its schema and what it is
 * for `joinEnds`. The reader, the writer and the service take them as they are.
 */

import { isScalar } from 'yaml';

import type { EachWay, JoinOptions } from '../ends/index.ts';
import { parseImpairment, parseShape } from '../middleware/index.ts';
import { choice, type Fields, flag, integer, type Schema, text } from './schema.ts';

/** Options of a link. What is left out is as of `vnic link`. */
export interface LinkOptionsConfig {
  /** What is done while an end takes nothing. Default `drop-oldest`. */
  readonly policy?: 'wait' | 'drop-newest' | 'drop-oldest';
  /** Packets that wait meanwhile, each way. Default 256. */
  readonly queue?: number;
  /** A bad link, both ways, in the words of `vnic link --impair`; and on top of that from the first end to the second, and back. */
  readonly impair?: string;
  readonly impairOut?: string;
  readonly impairIn?: string;
  /** Which packets are lost. Default 1. */
  readonly seed?: number;
  /** A rate, both ways, in the words of `vnic link --shape`; and on top of that each way. */
  readonly shape?: string;
  readonly shapeOut?: string;
  readonly shapeIn?: string;
  readonly compress?: boolean;
  /** True for what the MTUs allow, or bytes. */
  readonly clampMss?: boolean | number;
}

/** Text that is kept as it is written once it can be read. */
function checked(read: (written: string) => unknown, expected: string): Schema<string> {
  return text((value) => {
    read(value);
    return value;
  }, expected);
}

const impairment = checked(parseImpairment, 'settings such as delay=50ms,loss=1%');
const rate = checked(parseShape, 'a rate such as 10mbit');

const bytes = integer(88, 65_495);
const mss: Schema<boolean | number> = {
  jsonSchema: { anyOf: [flag.jsonSchema, bytes.jsonSchema] },
  read: (node, path, reading) => {
    const resolved = node && reading.resolve(node);
    const isNumber = isScalar(resolved) && typeof resolved.value === 'number';
    return (isNumber ? bytes : flag).read(node, path, reading);
  },
};

/** Their schema. */
export const linkOptionFields: Fields<LinkOptionsConfig> = {
  policy: {
    schema: choice('wait', 'drop-newest', 'drop-oldest'),
    about:
      'While an end takes nothing: lose the oldest packets that wait, or the newest, or read no more of the other end',
    default: 'drop-oldest',
  },
  queue: { schema: integer(1, 1_048_576), about: 'Packets that wait meanwhile, each way', default: 256 },
  impair: { schema: impairment, about: 'A bad link, both ways, as of `vnic link --impair`' },
  impairOut: { schema: impairment, about: 'The same from the first end to the second' },
  impairIn: { schema: impairment, about: 'The same from the second end to the first' },
  seed: { schema: integer(0, 0xffff_ffff), about: 'Lose other packets than those of seed 1', default: 1 },
  shape: { schema: rate, about: 'No more than this, each way, as of `vnic link --shape`' },
  shapeOut: { schema: rate, about: 'The same from the first end to the second' },
  shapeIn: { schema: rate, about: 'The same from the second end to the first' },
  compress: { schema: flag, about: 'Compress each packet on the carrier; the other side needs it too', default: false },
  clampMss: {
    schema: mss,
    about: 'Lower the MSS of TCP, both ways: to what the MTU allows, or to so many bytes',
    default: false,
  },
};

/** The options as `joinEnds` takes them. */
export function joinOptionsOf(options: LinkOptionsConfig): JoinOptions {
  const { policy, queue, seed, compress, clampMss } = options;
  const impair = eachWay(parseImpairment, options.impair, options.impairOut, options.impairIn);
  const shape = eachWay(parseShape, options.shape, options.shapeOut, options.shapeIn);
  return {
    ...(policy !== undefined && { policy }),
    ...(queue !== undefined && { queuePackets: queue }),
    ...(impair !== undefined && { impair: { ...impair, ...(seed !== undefined && { seed }) } }),
    ...(shape !== undefined && { shape }),
    ...(compress !== undefined && { compress }),
    ...(clampMss !== undefined && { clampMss }),
  };
}

/** What is given for one direction goes on top of what is given for both. */
function eachWay<T extends object>(
  parse: (written: string) => T,
  both: string | undefined,
  out: string | undefined,
  back: string | undefined,
): EachWay<T> | undefined {
  const [all, aToB, bToA] = [both, out, back].map((written) => (written === undefined ? undefined : parse(written)));
  if (all === undefined && aToB === undefined && bToA === undefined) return undefined;
  return {
    ...((all ?? aToB) && { aToB: { ...all, ...aToB } as T }),
    ...((all ?? bToA) && { bToA: { ...all, ...bToA } as T }),
  };
}
