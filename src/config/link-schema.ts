/** Links in the file. */

import type { LinkConfig } from './config.ts';
import { end } from './end-schema.ts';
import { type LinkOptionsConfig, linkOptionFields } from './link-options.ts';
import { object, pair, type Schema } from './schema.ts';

/** A link as it is read. */
export type LinkDocument = Omit<LinkConfig, 'name'>;

/** One link. */
export const link: Schema<Partial<LinkDocument>> = object<LinkDocument & LinkOptionsConfig>({
  ends: { schema: pair(end), about: 'The two ends, each as `vnic link` takes it', required: true },
  ...linkOptionFields,
});
