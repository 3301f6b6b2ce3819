/**
 * Servers that were met, each with the fingerprint that it had then: the file `known-peers`.
 *
 *     vpn.example:7000 sha256:… 2026-05-01
 *     [2001:db8::1]:7000 sha256:…
 *
 * A place may have several lines, for a key that is about to replace another: any of them will do.
 */

import { join } from 'node:path';

import { VnicError } from '../base/index.ts';
import { parseFingerprint } from './fingerprint.ts';
import { identityFolder } from './identity-folder.ts';
import { LineFile } from './line-file.ts';

/** What the file says of a fingerprint at a place. */
export type PeerState = 'known' | 'new' | 'changed';

/** A line of the file. */
export interface KnownPeer {
  /** `HOST:PORT`, an IPv6 address in brackets. */
  readonly place: string;
  readonly fingerprint: string;
  /** What stands behind it. */
  readonly comment: string;
  /** The line, counted from 1. */
  readonly line: number;
}

/** The file of known servers. It is read anew for each question. */
export class KnownPeers {
  readonly path: string;
  readonly #file: LineFile;

  /** @param path default `known-peers` in the folder of the identity */
  constructor(path: string = join(identityFolder(), 'known-peers')) {
    this.path = path;
    this.#file = new LineFile(path);
  }

  /** Every entry, in order. @throws VNIC_IDENTITY */
  list(): KnownPeer[] {
    return this.#file.lines().flatMap(({ number, text }) => {
      const peer = parseLine(text);
      return peer === undefined ? [] : [{ ...peer, line: number }];
    });
  }

  /** Whether the place had this fingerprint before, another, or none. @throws VNIC_IDENTITY */
  check(place: string, fingerprint: string): PeerState {
    const known = this.list().filter((peer) => peer.place === normal(place));
    if (known.length === 0) return 'new';
    return known.some((peer) => peer.fingerprint === fingerprint) ? 'known' : 'changed';
  }

  /**
   * Writes down the fingerprint of a place that has none yet.
   * @returns what was true before: nothing is written unless `new`
   * @throws VNIC_IDENTITY
   */
  async pin(place: string, fingerprint: string): Promise<PeerState> {
    const before = this.check(place, fingerprint);
    if (before !== 'new') return before;
    const line = `${normal(place)} ${fingerprint} ${new Date().toISOString().slice(0, 10)}`;
    const added = await this.#file.add(line, () => this.check(place, fingerprint) === 'new');
    return added ? 'new' : this.check(place, fingerprint);
  }

  /**
   * Trust on first use: `pin`, and an error when the place had another fingerprint.
   * @returns `new` when it was written down just now
   * @throws VNIC_PEER_CHANGED, VNIC_IDENTITY
   */
  async trust(place: string, fingerprint: string): Promise<'known' | 'new'> {
    const state = await this.pin(place, fingerprint);
    if (state !== 'changed') return state;
    const pinned = this.list().find((peer) => peer.place === normal(place));
    throw new VnicError('VNIC_PEER_CHANGED', {
      attempted: `trust ${place}`,
      reason:
        `its key is ${fingerprint}, but line ${pinned?.line} of ${this.path} has ${pinned?.fingerprint}: ` +
        'the key was replaced, or somebody else answers in its place',
      hint:
        'Ask `vnic identity` on that machine for its fingerprint. If it is the new one, ' +
        `\`vnic identity forget ${normal(place)}\` here, and connect again.`,
    });
  }

  /** Takes out every line of a place or of a fingerprint. @returns how many it were @throws VNIC_IDENTITY */
  forget(placeOrFingerprint: string): Promise<number> {
    const [place, fingerprint] = [normal(placeOrFingerprint), parseFingerprint(placeOrFingerprint)];
    return this.#file.remove((text) => {
      const peer = parseLine(text);
      return peer !== undefined && (peer.place === place || peer.fingerprint === fingerprint);
    });
  }
}

function parseLine(text: string): Omit<KnownPeer, 'line'> | undefined {
  const [, place, written, comment = ''] = /^(\S+)\s+(\S+)(?:\s+(.*))?$/.exec(text) ?? [];
  const fingerprint = written === undefined ? undefined : parseFingerprint(written);
  if (place === undefined || fingerprint === undefined) return undefined;
  return { place: normal(place), fingerprint, comment };
}

/** Names of hosts do not know upper case. */
function normal(place: string): string {
  return place.toLowerCase();
}
