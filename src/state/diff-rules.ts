/** Policy rules and masquerading: what is missing. */

import {
  type Change,
  changeKey,
  type MasqueradeChange,
  masqueradeMatches,
  type RuleChange,
  ruleMatches,
} from '../changes/index.ts';
import type { RuleConfig } from '../config/index.ts';
import { inPlace, type Place } from './places.ts';

/** Compares the rules and the masquerading of one namespace. */
export function diffRules(place: Place): { readonly changes: readonly Change[]; readonly wanted: readonly string[] } {
  const { rules, masquerades } = place.snapshot;
  const wantedRules = place.config.rules.flatMap((rule) =>
    familiesOf(rule).map((family) => toChange(rule, family, place)),
  );
  const wantedMasquerades = place.config.masquerade.map(
    (config): MasqueradeChange => ({ resource: 'masquerade', action: 'add', ...config, ...inPlace(place) }),
  );
  return {
    changes: [
      ...wantedRules.filter((rule) => !rules.some((info) => ruleMatches(info, rule))),
      ...wantedMasquerades.filter((change) => !masquerades.some((info) => masqueradeMatches(info, change))),
    ],
    wanted: [...wantedRules, ...wantedMasquerades].map(changeKey),
  };
}

function toChange(rule: RuleConfig, family: 4 | 6, place: Place): RuleChange {
  return { resource: 'rule', action: 'add', family, ...rule, ...inPlace(place) };
}

/** One that names no address is for both. */
function familiesOf({ from, to }: RuleConfig): readonly (4 | 6)[] {
  const address = from ?? to;
  if (address === undefined) return [4, 6];
  return address.includes(':') ? [6] : [4];
}
