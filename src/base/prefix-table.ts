/**
 * Longest-prefix match: which of many prefixes an address lies in, the most specific one. One table holds IPv4 and IPv6.
 *
 * A binary trie in one typed array, a level a bit, so that a lookup reads at most 32 or 128 nodes, allocates nothing and does not
 * depend on how many prefixes there are. Nodes that no prefix needs any more are used again.
 */

import type { Cidr, IpFamily } from './address.ts';

/** Words of a node: child for a bit of 0, child for 1, value. */
const NODE_WORDS = 3;
const VALUE = 2;
const NONE = -1;
const ROOTS: Readonly<Record<IpFamily, number>> = { 4: 0, 6: 1 };
const FIRST_NODES = 64;

/** Numbers by prefix. Values are 0 or more; -1 means none. */
export class PrefixTable {
  #nodes = new Int32Array(FIRST_NODES * NODE_WORDS).fill(NONE);
  #used = 2;
  /** A chain of nodes to use again, linked by their first word. */
  #free = NONE;
  #size = 0;

  /** How many prefixes are in it. */
  get size(): number {
    return this.#size;
  }

  /** Sets the value of a prefix, host bits ignored; returns the one before, or -1. */
  set({ address, prefixLen, family }: Cidr, value: number): number {
    let node = ROOTS[family];
    for (let bit = 0; bit < prefixLen; bit++) {
      const word = node * NODE_WORDS + bitOf(address.bytes, 0, bit);
      let next = this.#nodes[word] as number;
      if (next === NONE) {
        next = this.#newNode();
        this.#nodes[word] = next;
      }
      node = next;
    }
    const before = this.#nodes[node * NODE_WORDS + VALUE] as number;
    this.#nodes[node * NODE_WORDS + VALUE] = value;
    if (before === NONE) this.#size++;
    return before;
  }

  /** The value of exactly this prefix, or -1. */
  get({ address, prefixLen, family }: Cidr): number {
    let node = ROOTS[family];
    for (let bit = 0; bit < prefixLen && node !== NONE; bit++) {
      node = this.#nodes[node * NODE_WORDS + bitOf(address.bytes, 0, bit)] as number;
    }
    return node === NONE ? NONE : (this.#nodes[node * NODE_WORDS + VALUE] as number);
  }

  /** Takes a prefix out; returns its value, or -1 when it was not there. */
  delete({ address, prefixLen, family }: Cidr): number {
    const path: number[] = [];
    let node = ROOTS[family];
    for (let bit = 0; bit < prefixLen; bit++) {
      path.push(node);
      node = this.#nodes[node * NODE_WORDS + bitOf(address.bytes, 0, bit)] as number;
      if (node === NONE) return NONE;
    }
    const before = this.#nodes[node * NODE_WORDS + VALUE] as number;
    if (before === NONE) return NONE;
    this.#nodes[node * NODE_WORDS + VALUE] = NONE;
    this.#size--;
    for (let bit = prefixLen - 1; bit >= 0 && this.#isEmpty(node); bit--) {
      const parent = path[bit] as number;
      this.#nodes[parent * NODE_WORDS + bitOf(address.bytes, 0, bit)] = NONE;
      this.#nodes[node * NODE_WORDS] = this.#free;
      this.#free = node;
      node = parent;
    }
    return before;
  }

  /** Hot. The value of the longest prefix that the address of this family at `bytes[offset]` lies in, or -1. */
  lookup(family: IpFamily, bytes: Uint8Array, offset: number): number {
    const nodes = this.#nodes;
    const bits = family === 4 ? 32 : 128;
    let node = ROOTS[family];
    let found = nodes[node * NODE_WORDS + VALUE] as number;
    for (let bit = 0; bit < bits; bit++) {
      node = nodes[node * NODE_WORDS + bitOf(bytes, offset, bit)] as number;
      if (node === NONE) break;
      const value = nodes[node * NODE_WORDS + VALUE] as number;
      if (value !== NONE) found = value;
    }
    return found;
  }

  #newNode(): number {
    const free = this.#free;
    if (free !== NONE) {
      this.#free = this.#nodes[free * NODE_WORDS] as number;
      this.#nodes[free * NODE_WORDS] = NONE;
      return free;
    }
    if ((this.#used + 1) * NODE_WORDS > this.#nodes.length) {
      const grown = new Int32Array(this.#nodes.length * 2).fill(NONE);
      grown.set(this.#nodes);
      this.#nodes = grown;
    }
    return this.#used++;
  }

  #isEmpty(node: number): boolean {
    const at = node * NODE_WORDS;
    return this.#nodes[at] === NONE && this.#nodes[at + 1] === NONE && this.#nodes[at + VALUE] === NONE;
  }
}

function bitOf(bytes: Uint8Array, offset: number, bit: number): number {
  return ((bytes[offset + (bit >> 3)] as number) >> (7 - (bit & 7))) & 1;
}
