/**
 * Clients that may connect, by fingerprint: the file `authorized-peers`.
 *
 *     sha256:… laptop of Ada
 */

import { join } from 'node:path';

import { invalidArgument } from '../base/index.ts';
import { parseFingerprint } from './fingerprint.ts';
import { identityFolder } from './identity-folder.ts';
import { LineFile } from './line-file.ts';

/** A line of the file. */
export interface AuthorizedPeer {
  readonly fingerprint: string;
  /** For people; empty where none was given. */
  readonly name: string;
  /** The line, counted from 1. */
  readonly line: number;
}

/** The file of authorized clients. It is read anew for each question, so that a change counts at once. */
export class AuthorizedPeers {
  readonly path: string;
  readonly #file: LineFile;

  /** @param path default `authorized-peers` in the folder of the identity */
  constructor(path: string = join(identityFolder(), 'authorized-peers')) {
    this.path = path;
    this.#file = new LineFile(path);
  }

  /** Every entry, in order. @throws VNIC_IDENTITY */
  list(): AuthorizedPeer[] {
    return this.#file.lines().flatMap(({ number, text }) => {
      const peer = parseLine(text);
      return peer === undefined ? [] : [{ ...peer, line: number }];
    });
  }

  /** The entry of a fingerprint. @throws VNIC_IDENTITY */
  find(fingerprint: string): AuthorizedPeer | undefined {
    return this.list().find((peer) => peer.fingerprint === fingerprint);
  }

  /**
   * Lets a client in from now on.
   * @param name for people, one line
   * @returns whether it was not allowed before
   * @throws VNIC_INVALID_ARGUMENT, VNIC_IDENTITY
   */
  allow(fingerprint: string, name = ''): Promise<boolean> {
    const parsed = parseFingerprint(fingerprint);
    if (parsed === undefined) throw invalidArgument('allow a peer', 'a fingerprint, sha256:…', fingerprint);
    if (/\p{Cc}/u.test(name)) throw invalidArgument('allow a peer', 'a name of one line', name);
    return this.#file.add(`${parsed} ${name}`.trim(), () => this.find(parsed) === undefined);
  }

  /** Takes out every line of a fingerprint or of a name. @returns how many it were @throws VNIC_IDENTITY */
  forget(fingerprintOrName: string): Promise<number> {
    const fingerprint = parseFingerprint(fingerprintOrName);
    return this.#file.remove((text) => {
      const peer = parseLine(text);
      return peer !== undefined && (peer.fingerprint === fingerprint || peer.name === fingerprintOrName);
    });
  }
}

function parseLine(text: string): Omit<AuthorizedPeer, 'line'> | undefined {
  const [, written = '', name = ''] = /^(\S+)(?:\s+(.*))?$/.exec(text) ?? [];
  const fingerprint = parseFingerprint(written);
  return fingerprint === undefined ? undefined : { fingerprint, name };
}
