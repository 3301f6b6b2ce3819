/** Ends in the file: the grammar is that of `vnic link`, and a mistake is told with its place in the text. */

import { isScalar } from 'yaml';

import { invalidArgument, isVnicError } from '../base/index.ts';
import { checkEnd, type EndMistake, endKinds, parseEnd } from '../ends/index.ts';
import { type Schema, text } from './schema.ts';

/** What a link is called: in messages, in the status, in the log. */
export const linkName: Schema<string> = text(
  (value) => {
    if (/^[\p{L}\p{N}][\p{L}\p{N}._-]{0,63}$/u.test(value)) return value;
    throw invalidArgument('read', 'a name of up to 64 letters, digits, dots, dashes and underscores', value);
  },
  'the name of a link',
  { json: { minLength: 1, maxLength: 64, pattern: '^[\\p{L}\\p{N}][\\p{L}\\p{N}._-]*$' } },
);

const wholeText = text((value) => value, 'an end, such as tun:tun0', {
  json: { examples: Object.values(endKinds).map(({ example }) => example) },
});

/** An end as `vnic link` takes it. The word null without quotes is the end of that name, too. */
export const end: Schema<string> = {
  jsonSchema: { ...wholeText.jsonSchema, type: ['string', 'null'] },
  read: (node, path, reading) => {
    const resolved = node && reading.resolve(node);
    if (isScalar(resolved) && resolved.value === null && resolved.source === 'null') return 'null';
    const written = wholeText.read(node, path, reading);
    if (written === undefined || node == null) return undefined;
    try {
      checkEnd(parseEnd(written));
      return written;
    } catch (error) {
      if (!isVnicError(error, 'VNIC_INVALID_END')) throw error;
      const { reason, at, length } = error.cause as EndMistake;
      reading.report(node, path, reason, error.hint, { at, length });
      return undefined;
    }
  },
};
