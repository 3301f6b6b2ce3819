/** What every other folder builds on: errors, addresses, events, randomness. Pure; imports nothing. */

export { Cidr, formatIpv4, formatIpv6, formatMac, IpAddress, type IpFamily, MacAddress } from './address.ts';
export {
  aborted,
  ExitStatus,
  errorCatalogue,
  invalidArgument,
  isVnicError,
  throwIfAborted,
  VnicError,
  type VnicErrorCode,
  type VnicErrorFields,
} from './errors.ts';
export { Listeners } from './listeners.ts';
export { PrefixTable } from './prefix-table.ts';
export { type Random, seededRandom } from './random.ts';
export { RateLimiter } from './rate-limiter.ts';
