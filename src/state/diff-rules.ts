/** Policy rules: which are missing. */

import { type Change, changeKey, type RuleChange, ruleMatches } from '../changes/index.ts';
import type { RuleConfig } from '../config/index.ts';
import { inPlace, type Place } from './places.ts';

/** Compares the rules of one namespace. */
export function diffRules(place: Place): { readonly changes: readonly Change[]; readonly wanted: readonly string[] } {
  const rules = place.config.rules.flatMap((rule) => familiesOf(rule).map((family) => toChange(rule, family, place)));
  return {
    changes: rules.filter((rule) => !place.snapshot.rules.some((info) => ruleMatches(info, rule))),
    wanted: rules.map(changeKey),
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
