import { describe, expect, it } from 'vitest';

import { printable } from './output.ts';
import { formatTable } from './table.ts';

describe('formatTable', () => {
  it('aligns columns and leaves no space at the ends of lines', () => {
    const rows = [
      ['NAME', 'MTU', 'MAC'],
      ['a', '65535', ''],
      ['long-name', '68', '-'],
    ];
    expect(formatTable(rows)).toBe(['NAME       MTU    MAC', 'a          65535', 'long-name  68     -'].join('\n'));
  });

  it('counts columns of the terminal: none for colour, two for wide characters', () => {
    const rows = [
      ['\u001b[31mab\u001b[39m', 'x'],
      ['日本', 'x'],
      ['дом0', 'x'],
    ];
    expect(formatTable(rows)).toBe('\u001b[31mab\u001b[39m    x\n日本  x\nдом0  x');
  });

  it('takes rows of different lengths, and none', () => {
    expect(formatTable([['a'], ['b', 'c']])).toBe('a\nb  c');
    expect(formatTable([])).toBe('');
  });
});

describe('printable', () => {
  it('shows control, format and separator characters as escapes and leaves the rest', () => {
    expect(printable('tun0 дом 日本 é')).toBe('tun0 дом 日本 é');
    expect(printable('a\u001b[2Jb\n\u007f\u009b')).toBe('a\\x1b[2Jb\\x0a\\x7f\\x9b');
    expect(printable('a\u202eb\u200b\u2028')).toBe('a\\u{202e}b\\u{200b}\\u{2028}');
  });
});
