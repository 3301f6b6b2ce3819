import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { formatLog, isJournalStream, type LogFormat, type LogRecord } from './log.ts';

const time = new Date('2026-03-01T12:00:00.123Z');
const record: LogRecord = {
  level: 'warn',
  event: 'waiting',
  message: 'there is no "eth1" yet',
  fields: { device: 'eth1', count: 2, netns: undefined, path: 'devices.eth1' },
};

describe('formatLog', () => {
  it('writes logfmt', () => {
    expect(formatLog(record, 'logfmt', time)).toBe(
      'time=2026-03-01T12:00:00.123Z level=warn event=waiting msg="there is no \\"eth1\\" yet" device=eth1 count=2 path=devices.eth1',
    );
  });

  it('writes an object of JSON', () => {
    expect(JSON.parse(formatLog(record, 'json', time))).toEqual({
      time: '2026-03-01T12:00:00.123Z',
      level: 'warn',
      event: 'waiting',
      msg: 'there is no "eth1" yet',
      device: 'eth1',
      count: 2,
      path: 'devices.eth1',
    });
  });

  it('writes the priority of sd-daemon(3) for the journal', () => {
    expect(formatLog(record, 'journal', time)).toBe(
      '<4>there is no "eth1" yet event=waiting device=eth1 count=2 path=devices.eth1',
    );
    expect(formatLog({ level: 'error', event: 'e', message: 'm' }, 'journal', time)).toBe('<3>m event=e');
  });

  it('is one line without control characters, whatever is in it', () => {
    const formats = fc.constantFrom<LogFormat>('logfmt', 'json', 'journal');
    const text = fc.string({ unit: 'binary' });
    fc.assert(
      fc.property(formats, text, text, (format, message, value) => {
        const line = formatLog({ level: 'info', event: 'e', message, fields: { value } }, format, time);
        expect(line).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
        if (format === 'json') expect(JSON.parse(line)).toMatchObject({ msg: message, value });
      }),
    );
  });
});

describe('isJournalStream', () => {
  it('knows the stream by device and inode', () => {
    const env = { JOURNAL_STREAM: '8:4711' };
    expect(isJournalStream({ dev: 8, ino: 4711 }, env)).toBe(true);
    expect(isJournalStream({ dev: 8, ino: 4712 }, env)).toBe(false);
    expect(isJournalStream({ dev: 8, ino: 4711 }, {})).toBe(false);
  });
});
