/**
 * Answers ICMPv4 echo on the TUN device that is descriptor 3, with what Node has for files and nothing else.
 *
 *   tun-exec NAME node tun-echo.mjs sync|pool|streams
 *
 * sync: `readSync` and `writeSync`, which hold up the event loop. pool: `read` and `write`, which go through
 * Node's thread pool, four reads at a time. streams: as the npm packages for TUN do and their readmes show.
 */

import { createReadStream, createWriteStream, read, readSync, write, writeSync } from 'node:fs';

const tun = 3;
const readsAtATime = 4;

const ways = { sync, pool, streams };
ways[process.argv[2]]();

function sync() {
  const packet = Buffer.alloc(65_536);
  for (;;) {
    const length = readSync(tun, packet, 0, packet.length, null);
    if (answer(packet, length)) writeSync(tun, packet, 0, length, null);
  }
}

function pool() {
  for (let i = 0; i < readsAtATime; i++) {
    const packet = Buffer.alloc(65_536);
    const next = () =>
      read(tun, packet, 0, packet.length, null, (error, length) => {
        if (error) throw error;
        if (answer(packet, length)) write(tun, packet, 0, length, null, next);
        else next();
      });
    next();
  }
}

function streams() {
  const out = createWriteStream('', { fd: tun });
  createReadStream('', { fd: tun }).on('data', (packet) => {
    if (answer(packet, packet.length)) out.write(packet);
  });
}

function answer(bytes, length) {
  const icmp = (bytes[0] & 15) * 4;
  if (bytes[0] >> 4 !== 4 || icmp + 8 > length || bytes[9] !== 1 || bytes[icmp] !== 8) return false;
  for (let i = 12; i < 16; i++) [bytes[i], bytes[i + 4]] = [bytes[i + 4], bytes[i]];
  bytes[icmp] = 0;
  const sum = ((bytes[icmp + 2] << 8) | bytes[icmp + 3]) + 0x0800;
  const folded = (sum & 0xffff) + (sum >> 16);
  bytes[icmp + 2] = folded >> 8;
  bytes[icmp + 3] = folded & 0xff;
  return true;
}
