/** `vnic identity`: the key of this machine, and the files of those that it trusts. */

import type { Command } from 'commander';

import { defineNoun, type NounAction, printList } from '../noun.ts';
import { print, printable, printJson, printNote, style } from '../output.ts';
import { usageError } from '../report-error.ts';
import { option, parseText } from '../values.ts';

interface IdentityOptions {
  readonly create?: true;
  readonly name?: string;
  readonly json?: true;
}

const show: NounAction<IdentityOptions> = {
  options: ['create', 'json'],
  subject: 'none',
  async run(_subject, { create, json }) {
    const { AuthorizedPeers, findIdentity, identityFolder, identityPath, KnownPeers, loadIdentity } = await import(
      '../../identity/index.ts'
    );
    const identity = create ? loadIdentity() : findIdentity();
    const files = { identity: identityPath(), known: new KnownPeers().path, authorized: new AuthorizedPeers().path };
    if (json) {
      const { certificatePem = null, fingerprint = null } = identity ?? {};
      printJson({ fingerprint, folder: identityFolder(), files, certificate: certificatePem });
    } else if (identity === undefined) {
      const { VnicError } = await import('../../base/index.ts');
      throw new VnicError('VNIC_IDENTITY', {
        attempted: 'show the key of this machine',
        reason: `there is none yet in ${identityFolder()}`,
        hint: '`vnic identity --create` makes one; so does the first link that needs it.',
      });
    } else {
      print(style('bold', identity.fingerprint));
      printNote(`key and certificate  ${printable(files.identity)}`);
      printNote(`servers it knows     ${printable(files.known)}`);
      printNote(`clients it lets in   ${printable(files.authorized)}`);
    }
  },
};

const peers: NounAction<IdentityOptions> = {
  options: ['json'],
  subject: 'none',
  async run(_subject, { json }) {
    const { AuthorizedPeers, KnownPeers } = await import('../../identity/index.ts');
    const known = new KnownPeers().list().map(({ place, fingerprint, comment }) => ({
      json: { role: 'server', place, fingerprint, comment },
      cells: ['server', style('cyan', printable(place)), fingerprint, printable(comment)],
    }));
    const authorized = new AuthorizedPeers().list().map(({ fingerprint, name }) => ({
      json: { role: 'client', name, fingerprint },
      cells: ['client', style('cyan', printable(name) || '-'), fingerprint],
    }));
    const empty = 'no servers are known, and no clients may connect; `vnic identity allow FINGERPRINT` lets one in';
    printList([...known, ...authorized], ['ROLE', 'PLACE OR NAME', 'FINGERPRINT', 'SINCE'], {
      ...(json && { json: true }),
      empty,
    });
  },
};

const allow: NounAction<IdentityOptions> = {
  options: ['name'],
  subject: 'required',
  async run(subject, { name }) {
    const { AuthorizedPeers, parseFingerprint } = await import('../../identity/index.ts');
    const fingerprint = parseFingerprint(subject as string);
    if (fingerprint === undefined) {
      throw usageError(
        'allow a client',
        `${JSON.stringify(subject)} is no fingerprint`,
        'Take the one that `vnic identity` prints on the client: sha256: and 43 characters.',
      );
    }
    const isNew = await new AuthorizedPeers().allow(fingerprint, name);
    printNote(isNew ? `${fingerprint} may connect` : `${fingerprint} was allowed already`);
  },
};

const forget: NounAction<IdentityOptions> = {
  options: [],
  subject: 'required',
  async run(subject) {
    const { AuthorizedPeers, KnownPeers } = await import('../../identity/index.ts');
    const { VnicError } = await import('../../base/index.ts');
    const servers = await new KnownPeers().forget(subject as string);
    const clients = await new AuthorizedPeers().forget(subject as string);
    if (servers + clients === 0) {
      throw new VnicError('VNIC_IDENTITY', {
        attempted: `forget ${subject}`,
        reason: 'it is neither a known server nor an allowed client',
        hint: 'See `vnic identity peers`.',
      });
    }
    if (servers > 0) printNote(`${subject} is met anew the next time`);
    if (clients > 0) printNote(`${subject} may not connect any more; a connection that it has stays`);
  },
};

export function define(command: Command): void {
  command.description(
    'The key by which peers know this machine over TLS, and the keys that it trusts. "show" prints the fingerprint of its own;\n' +
      '"peers" lists servers that were met and clients that may connect; "allow" lets a client in by its fingerprint, at once;\n' +
      '"forget" takes out a client, or a server by HOST:PORT, whose key is then taken as it is the next time.',
  );
  defineNoun(command, 'peer', { show, peers, allow, forget })
    .option('--create', 'show: make the key if there is none')
    .addOption(option('--name <name>', 'allow: who it is, for people', parseText))
    .option('--json', 'show: an object; peers: an array')
    .addHelpText(
      'after',
      `
Files are in /etc/vnic for root, and in ~/.config/vnic else; VNIC_IDENTITY_DIRECTORY names another folder.

Examples:
  vnic identity --create
  sudo vnic identity allow sha256:4hJ… --name 'laptop of Ada'
  sudo vnic identity forget vpn.example:7000
  vnic identity peers --json | jq -r '.[].fingerprint'`,
    );
}
