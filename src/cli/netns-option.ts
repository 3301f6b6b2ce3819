/**
 * `--netns`, which every command takes that touches the network.
 *
 * The value is handed down to whatever opens a socket or a device. The command does not enter the namespace itself: a thread
 * that has changed its namespace is a trap for everything that runs on another, such as Node's pool.
 */

import { existsSync } from 'node:fs';

import { NETNS_FOLDER, type NetnsSelector } from '../netns/index.ts';
import { option, type Parser, parseText } from './values.ts';

/** As `ip link set netns`: a path, else the name of a namespace that there is, else a process id. */
export const parseNetns: Parser<NetnsSelector> = (text) => {
  const name = parseText(text);
  const isProcess = /^[1-9][0-9]{0,8}$/.test(name) && !existsSync(`${NETNS_FOLDER}/${name}`);
  return isProcess ? Number(name) : name;
};

/** The option, for the list of a command. */
export const netnsOption = (): ReturnType<typeof option> =>
  option('--netns <netns>', 'in this network namespace: a name, a process id or a path', parseNetns);
