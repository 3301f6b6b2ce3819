import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import { afterEach, describe, expect, it, vi } from 'vitest';

import { root } from '../repo/source-files.ts';

interface Trial {
  /** What a reader would type while the example runs. */
  readonly command: string;
  /** What the command prints. */
  readonly prints?: RegExp;
  /** What the example itself prints. */
  readonly shows?: RegExp;
}

const trials: Readonly<Record<string, Trial>> = {
  'answer-ping': { command: 'ping -c 5 -i 0.05 -W 2 10.0.0.2', prints: /5 received, 0% packet loss/ },
  'distant-host': {
    command: 'ping -c 3 -i 0.2 -W 2 10.0.0.77',
    prints: /ttl=57 time=(7[5-9]|[89]\d|\d{3,})(\.\d+)? ms/,
  },
  // Ends by itself, and is the same each time.
  'bad-network': { command: 'true', shows: /v4: 600 sent, \d\d lost, round trip 9\d\.\d to .*\nv6: 60 sent, \d+ lost/ },
  'read-packets': { command: 'ping -c 1 -W 1 10.0.0.2', shows: /arp.*10\.0\.0\.2/i },
  'pipe-devices': {
    // What goes into one device comes out of the other: its receive counter moves.
    command: [
      'ip link set left0 up && ip link set right0 up && ip address add 10.0.0.1/24 dev left0',
      'ping -c 3 -i 0.05 -W 1 10.0.0.2 || ip -s -j link show right0 | jq .[0].stats64.rx.packets',
    ].join(' && '),
    prints: /^[3-9]\d*$|^[12]\d+$/m,
  },
  wire: {
    command: [
      'ip netns add far && ip link set right0 netns far',
      'ip address add 10.0.0.1/24 dev left0 && ip link set left0 up',
      'ip -n far address add 10.0.0.2/24 dev right0 && ip -n far link set right0 up',
      'ping -c 5 -i 0.05 -W 2 10.0.0.2; ip netns delete far',
    ].join(' && '),
    prints: /5 received, 0% packet loss/,
  },
};

let running: ChildProcess | undefined;

afterEach(async () => {
  if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
  running.kill('SIGTERM');
  await once(running, 'exit');
});

describe('examples', () => {
  it('are all tried here', () => {
    const names = readdirSync(join(root, 'examples')).map((name) => name.replace(/\.ts$/, ''));
    expect(Object.keys(trials).toSorted()).toEqual(names.toSorted());
  });

  it.each(Object.entries(trials))('%s does what it says, and leaves no device behind', async (name, trial) => {
    const example = spawn(process.execPath, [join(root, 'build/examples', `${name}.js`)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running = example;
    let shown = '';
    example.stderr.on('data', (chunk: Buffer) => {
      shown += chunk;
    });
    const firstLine = once(example.stdout, 'data');
    example.stdout.on('data', (chunk: Buffer) => {
      shown += chunk;
    });
    await Promise.race([firstLine, once(example, 'exit')]);

    const command = spawn('sh', ['-c', trial.command], { stdio: ['ignore', 'pipe', 'pipe'] });
    const printed = await text(command.stdout);
    if (trial.prints !== undefined) expect(printed, shown).toMatch(trial.prints);
    const { shows } = trial;
    if (shows !== undefined) await vi.waitFor(() => expect(shown).toMatch(shows), 10_000);

    if (example.kill('SIGTERM') && example.exitCode === null) await once(example, 'exit');
    expect(spawnSync('ip', ['-br', 'link'], { encoding: 'utf8' }).stdout.trim().split('\n')).toHaveLength(1);
  });
});
