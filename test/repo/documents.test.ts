import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { commandList } from '../../src/cli/command-list.ts';
import { filesBelow, readText, root } from './source-files.ts';

const documents = [...readdirSync(root).filter((name) => name.endsWith('.md')), ...filesBelow('docs', '.md')];

describe('the documents', () => {
  it('are all there', () => {
    expect(documents).toEqual(
      expect.arrayContaining(['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'docs/errors.md']),
    );
  });

  it.each(documents)('%s links to files that exist', (document) => {
    const targets = [...readText(document).matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)/g)].map(
      (match) => match[1] ?? '',
    );
    expect(targets.filter((target) => !existsSync(join(root, dirname(document), target)))).toEqual([]);
  });

  it('show the library example as it is run, comments and spaces aside', () => {
    const code = (text: string): string =>
      text
        .replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
        .replace(/\s+/g, ' ')
        .trim();
    const [, shown = ''] = /```ts\n([\s\S]*?)```/.exec(readText('README.md')) ?? [];
    expect(code(shown)).toBe(code(readText('examples/answer-ping.ts')));
  });

  it.each(documents)('%s names npm scripts that exist', (document) => {
    const { scripts } = JSON.parse(readText('package.json')) as { readonly scripts: Readonly<Record<string, string>> };
    const named = [...readText(document).matchAll(/`npm run ([a-z:-]+)/g)].map((match) => match[1] ?? '');
    expect(named.filter((name) => !(name in scripts))).toEqual([]);
  });

  it.each(documents)('%s names commands that exist', (document) => {
    const known: readonly string[] = commandList.map(({ name }) => name);
    const blocks = [...readText(document).matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
    const spans = [...readText(document).matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? '');
    const lines = [...blocks.join('\n').split(/\n|;/), ...spans];
    const named = lines.map((line) => /^\s*(?:sudo )?(?:npx )?vnic ([a-z]+)/.exec(line)?.[1]);
    expect(named.filter((name) => name !== undefined && !known.includes(name))).toEqual([]);
  });
});
