import { describe, expect, it } from 'vitest';

import { ExitStatus, errorCatalogue } from '../../src/base/index.ts';
import { readText, sourceFiles } from './source-files.ts';

const codes = Object.entries(errorCatalogue);
const rows = readText('docs/errors.md')
  .split('\n')
  .filter((line) => line.startsWith('| `VNIC_'))
  .map((line) => line.split('|').map((cell) => cell.trim()));

/** Markdown puts code in backticks that the catalogue has not. */
const plain = (text: string): string => text.replaceAll('`', '');

describe('docs/errors.md', () => {
  it('has exactly one row for each code, in any order', () => {
    const documented = rows.map((cells) => plain(cells[1] ?? ''));
    expect(documented.toSorted()).toEqual(codes.map(([code]) => code).toSorted());
  });

  it.each(codes)('says of %s what the catalogue says', (code, { title, exit }) => {
    const [, , meaning = '', status = '', causes = ''] = rows.find((cells) => cells[1] === `\`${code}\``) ?? [];
    expect(plain(meaning)).toBe(title);
    expect(Number(status)).toBe(ExitStatus[exit]);
    expect(causes).not.toBe('');
  });

  it('lists every exit status of the command', () => {
    const listed = [...readText('docs/errors.md').matchAll(/^\| (\d+) \|/gm)].map((match) => Number(match[1]));
    expect(listed).toEqual(Object.values(ExitStatus).toSorted((a, b) => a - b));
  });
});

describe('the error catalogue', () => {
  it('has no code that nothing throws', () => {
    const text = sourceFiles()
      .filter((path) => path !== 'src/base/errors.ts')
      .map((path) => readText(path).replace(/@throws.*|^\s*\*.*$/gm, ''))
      .join('\n');
    // The constructors of these two live beside the catalogue.
    const elsewhere = ['VNIC_INVALID_ARGUMENT', 'VNIC_ABORTED'];
    const unused = codes
      .map(([code]) => code)
      .filter((code) => !text.includes(`'${code}'`) && !elsewhere.includes(code));
    expect(unused).toEqual([]);
  });
});
