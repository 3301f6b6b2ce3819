/** `vnic netns`: network namespaces with names. */

import type { Command } from 'commander';

import type { NetnsOptions } from '../../netns/index.ts';
import { defineNoun, type NounAction, printList } from '../noun.ts';
import { printable, style } from '../output.ts';

interface ListOptions extends NetnsOptions {
  readonly json?: true;
}

const add: NounAction<ListOptions> = {
  options: [],
  subject: 'required',
  async run(name) {
    const { createNamespace } = await import('../../netns/index.ts');
    const { openNetlink } = await import('../../netlink/index.ts');
    const namespace = await createNamespace(name as string);
    try {
      const netlink = await openNetlink({ netns: namespace });
      await netlink.links.set('lo', { up: true }).finally(() => netlink.close());
    } finally {
      namespace.closeSync();
    }
  },
};

const remove: NounAction<ListOptions> = {
  options: [],
  subject: 'required',
  async run(name) {
    const { deleteNamespace } = await import('../../netns/index.ts');
    deleteNamespace(name as string);
  },
};

const list: NounAction<ListOptions> = {
  options: ['json'],
  subject: 'none',
  async run(_name, options) {
    const { listNamespaces } = await import('../../netns/index.ts');
    const { withNetlink } = await import('../../netdev/index.ts');
    const rows = await withNetlink(options, async (netlink) => {
      const found = [];
      for (const { name, path, inode } of listNamespaces()) {
        const id = inode === undefined ? undefined : await netlink.namespaceIds.get(path);
        found.push({
          json: { name, path, inode: inode ?? null, id: id ?? null },
          cells: [style('cyan', printable(name)), inode?.toString() ?? 'none mounted', id?.toString() ?? '-'],
        });
      }
      return found;
    });
    const empty = 'no network namespaces with names; make one with `vnic netns add NAME`';
    printList(rows, ['NAME', 'NUMBER', 'ID'], { ...(options.json && { json: true }), empty });
  },
};

export function define(command: Command): void {
  command.description(
    'List, add and delete network namespaces with names, the same as those of `ip netns`. The loopback interface of a new one\n' +
      'is up. "delete" takes the name; the namespace ends with the last process in it. Others are reached by --netns with the\n' +
      'id of a process in it.',
  );
  defineNoun(command, 'name', { list, add, delete: remove })
    .option('--json', 'listing: an array of objects')
    .addHelpText(
      'after',
      `
NUMBER is the one of /proc/PID/ns/net; ID the one by which this namespace knows the other, once they share a link.

Examples:
  vnic netns
  sudo vnic netns add blue
  sudo vnic create tap0 --tap --up --netns blue
  sudo vnic netns delete blue`,
    );
}
