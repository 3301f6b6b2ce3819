import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished } from 'vitest';

import { isVnicError } from '../base/index.ts';
import type { Change } from '../changes/index.ts';
import { type Journal, listJournals, openJournal, takeJournal } from './journal.ts';
import { parseJournal } from './journal-lines.ts';
import { runtimeDirectory } from './runtime-directory.ts';

const link = { name: 'tap0', index: 7 };
const address = (i: number): Change => ({
  resource: 'address',
  action: 'add',
  link,
  cidr: `10.0.${i >> 8}.${i & 255}/24`,
});
const mtu = (before: number, after: number): Change => ({
  resource: 'link',
  link,
  before: { mtu: before },
  after: { mtu: after },
});
const owner = { kind: 'config', path: '/etc/vnic/vnic.yaml' } as const;

function freshFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'vnic-journal-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const fileIn = (folder: string): string => join(folder, readdirSync(folder)[0] ?? '');
const idsOf = (journal: Journal): number[] => journal.entries.map(({ id }) => id);

describe('a journal', () => {
  it('has what was recorded and not dropped, in its order, when it is opened again', () => {
    const folder = freshFolder();
    using first = openJournal(owner, { folder });
    const [a, b] = first.record([address(1), address(2), mtu(1500, 1400)]);
    first.drop([a?.id ?? 0]);
    first.close();
    using again = openJournal(owner, { folder });
    expect(again.entries.map(({ change }) => change)).toEqual([address(2), mtu(1500, 1400)]);
    expect(again.entries[0]?.id).toBe(b?.id);
    expect(again.record([address(3)])[0]?.id).toBe(4);
  });

  it('is written before the call returns, for its owner alone', () => {
    const folder = freshFolder();
    using journal = openJournal(owner, { folder });
    journal.record([address(1)]);
    expect(readFileSync(fileIn(folder), 'utf8')).toContain('10.0.0.1/24');
    expect(statSync(fileIn(folder)).mode & 0o777).toBe(0o600);
  });

  it('is gone when nothing is in it', () => {
    const folder = freshFolder();
    const journal = openJournal(owner, { folder });
    journal.drop(journal.record([address(1)]).map(({ id }) => id));
    journal.close();
    journal.close();
    expect(readdirSync(folder)).toEqual([]);
  });

  it('believes every whole line before one that was torn at any place, and goes on behind it', () => {
    const folder = freshFolder();
    const journal = openJournal(owner, { folder });
    journal.record([address(1), address(2)]);
    journal.close();
    const path = fileIn(folder);
    const text = readFileSync(path, 'utf8');
    const whole = text.lastIndexOf('\n', text.length - 2) + 1;
    for (let end = whole; end < text.length; end++) {
      writeFileSync(path, text.slice(0, end));
      using again = openJournal(owner, { folder });
      expect(idsOf(again)).toEqual([1]);
      again.record([address(9)]);
      expect(parseJournal(readFileSync(path, 'utf8'))?.entries.map(({ id }) => id)).toEqual([1, 2]);
      again.close();
    }
  });

  it('does not believe what follows a damaged line', () => {
    const folder = freshFolder();
    const journal = openJournal(owner, { folder });
    journal.record([address(1)]);
    journal.close();
    appendFileSync(fileIn(folder), 'not json\n{"drop":[1]}\n');
    using again = openJournal(owner, { folder });
    expect(idsOf(again)).toEqual([1]);
  });

  it('stays small, however often something is recorded and dropped', () => {
    const folder = freshFolder();
    using journal = openJournal(owner, { folder });
    journal.record([address(1)]);
    let largest = 0;
    for (let i = 0; i < 3000; i++) {
      journal.drop(journal.record([address(i)]).map(({ id }) => id));
      largest = Math.max(largest, statSync(fileIn(folder)).size);
    }
    expect(largest).toBeLessThan(100_000);
    expect(idsOf(journal)).toEqual([1]);
    expect(readdirSync(folder)).toHaveLength(1);
  });

  it('remembers of a value that was set several times the first and the last', () => {
    const folder = freshFolder();
    using journal = openJournal(owner, { folder });
    journal.begin();
    journal.record([mtu(1500, 1400), address(1), mtu(1400, 1300)]);
    journal.end();
    expect(journal.entries.map(({ change }) => change)).toEqual([mtu(1500, 1300), address(1)]);
  });

  it('tells what was begun and not ended, also when it is begun again', () => {
    const folder = freshFolder();
    const journal = openJournal(owner, { folder });
    journal.record([address(1)]);
    journal.begin();
    journal.record([address(2)]);
    journal.close();
    const again = openJournal(owner, { folder });
    expect(again.unfinishedFrom).toBe(2);
    again.begin();
    again.record([address(3)]);
    expect(again.unfinishedFrom).toBe(2);
    again.end();
    again.close();
    expect(listJournals({ folder })).toMatchObject([{ unfinishedFrom: undefined, held: false }]);
  });

  it('is nobody else’s while somebody works with it, and is free as soon as that process is killed', async () => {
    const folder = freshFolder();
    const source = new URL('../../dist/journal/index.js', import.meta.url);
    const script = `import { openJournal } from ${JSON.stringify(source.href)};
      openJournal(${JSON.stringify(owner)}, { folder: ${JSON.stringify(folder)} }).record([${JSON.stringify(address(1))}]);
      console.log('open');
      setInterval(() => undefined, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    expect(listJournals({ folder })).toMatchObject([{ held: true, header: { process: { pid: child.pid } } }]);
    expect(takeJournal(fileIn(folder))).toBeUndefined();
    const refused = ((): unknown => {
      try {
        return openJournal(owner, { folder });
      } catch (error) {
        return error;
      }
    })();
    expect(isVnicError(refused, 'VNIC_JOURNAL_BUSY') && refused.reason).toContain(`pid ${child.pid}`);
    child.kill('SIGKILL');
    await once(child, 'exit');
    using taken = takeJournal(fileIn(folder));
    expect(taken && idsOf(taken)).toEqual([1]);
  });

  it('of another boot speaks of nothing that is left', () => {
    const folder = freshFolder();
    const journal = openJournal(owner, { folder });
    journal.record([address(1)]);
    journal.close();
    const path = fileIn(folder);
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replace(journal.header.boot, '00000000-0000-0000-0000-000000000000'));
    expect(listJournals({ folder })).toEqual([]);
    expect(takeJournal(path)).toBeUndefined();
    expect(existsSync(path)).toBe(false);
  });

  it('is not opened through a link that somebody has put in its place', () => {
    const folder = freshFolder();
    const journal = openJournal(owner, { folder });
    journal.record([address(1)]);
    journal.close();
    const path = fileIn(folder);
    rmSync(path);
    const other = join(folder, 'other');
    writeFileSync(other, 'keep');
    symlinkSync(other, path);
    expect(() => openJournal(owner, { folder })).toThrow(expect.objectContaining({ code: 'VNIC_JOURNAL' }));
    expect(readFileSync(other, 'utf8')).toBe('keep');
  });
});

describe('the folder of the journals', () => {
  it('is where VNIC_RUNTIME_DIRECTORY says, made with mode 0755', () => {
    const path = join(freshFolder(), 'a', 'b');
    expect(runtimeDirectory({ VNIC_RUNTIME_DIRECTORY: path })).toBe(path);
    expect(statSync(path).mode & 0o777).toBe(0o755);
  });

  it('is refused when others may write to it, or it is no folder', () => {
    const folder = freshFolder();
    mkdirSync(join(folder, 'open'));
    writeFileSync(join(folder, 'file'), '');
    symlinkSync(folder, join(folder, 'link'));
    for (const name of ['file', 'link']) {
      expect(() => runtimeDirectory({ VNIC_RUNTIME_DIRECTORY: join(folder, name) })).toThrow(
        expect.objectContaining({ code: 'VNIC_JOURNAL', reason: expect.stringContaining('not a folder') }),
      );
    }
  });
});
