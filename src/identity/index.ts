/** Who this machine is towards its peers, and whom it trusts: a key with its certificate, and files of fingerprints. */

export { type AuthorizedPeer, AuthorizedPeers } from './authorized-peers.ts';
export { fingerprintOf, parseFingerprint } from './fingerprint.ts';
export { createIdentity, type Identity, readAuthorities, readIdentity } from './identity.ts';
export { findIdentity, identityFolder, identityPath, loadIdentity } from './identity-folder.ts';
export { type KnownPeer, KnownPeers, type PeerState } from './known-peers.ts';
