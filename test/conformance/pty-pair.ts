/** Two pseudo terminals whose far sides are joined by socat: the null-modem cable of tests. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { onTestFinished } from 'vitest';

export interface PtyPair {
  /** Paths of the two ends. */
  readonly ends: readonly [string, string];
  readonly cable: ChildProcess;
  /** Pulls the cable out: both ends are hung up, and their paths go. */
  unplug(): Promise<void>;
}

/** Plugs a cable in; the test that does so ends it. */
export async function plugPtyPair(folder: string = freshFolder()): Promise<PtyPair> {
  const ends = [join(folder, 'a'), join(folder, 'b')] as const;
  const [one, other] = ends.map((link) => `PTY,link=${link},raw,echo=0`) as [string, string];
  const cable = spawn('socat', ['-d', '-d', one, other], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise<void>((resolve) => cable.once('close', () => resolve()));
  const unplug = (): Promise<void> => {
    cable.kill();
    return ended;
  };
  onTestFinished(unplug);
  let told = '';
  await new Promise<void>((resolve, reject) => {
    cable.once('error', reject);
    cable.stderr?.setEncoding('utf8').on('data', (text: string) => {
      told += text;
      if (told.includes('starting data transfer')) resolve();
    });
    void ended.then(() => reject(new Error(`socat has ended: ${told}`)));
  });
  return { ends, cable, unplug };
}

export function freshFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'vnic-pty-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
