/** The completion scripts, in the shells that they are for. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { requirePrivateNetns } from '../netns/private-netns.ts';
import { deleteTestDevices, run, runVnic } from './run-vnic.ts';

/** A name that the kernel takes and that a careless script would run. */
const hostile = '$(id>z)';
let folder: string;

beforeAll(async () => {
  requirePrivateNetns();
  folder = mkdtempSync(join(tmpdir(), 'vnic-completion-'));
  execFileSync('ip', ['tuntap', 'add', 'tap0', 'mode', 'tap']);
  execFileSync('ip', ['tuntap', 'add', hostile, 'mode', 'tun']);
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { status, stdout, stderr } = await runVnic(['completion', shell]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    writeFileSync(join(folder, `vnic.${shell}`), stdout);
  }
});

afterAll(() => {
  deleteTestDevices();
  rmSync(folder, { recursive: true });
});

/** Lines to complete and what a shell must offer for them, among other things or nothing else. */
const cases: readonly (readonly [line: string, offered: readonly string[]])[] = [
  ['vnic cr', ['create']],
  ['vnic d', ['demo', 'dump', 'delete', 'down', 'doctor']],
  ['vnic --v', ['--version']],
  ['vnic help comp', ['completion']],
  ['vnic completion ', ['bash', 'zsh', 'fish']],
  ['vnic create --multi-q', ['--multi-queue']],
  ['vnic create x --tun --mac', ['--mac']],
  ['vnic neigh re', ['replace']],
  ['vnic set tap0 --netn', ['--netns']],
  ['vnic create ', []],
  ['vnic create x --mtu ', []],
  ['vnic delete t', ['tap0']],
  ['vnic delete l', []],
  ['vnic up l', ['lo']],
  ['vnic set tap0 --promisc ', ['on', 'off']],
  ['vnic set tap0 --owner nobod', ['nobody']],
  ['vnic create x --group roo', ['root']],
];

describe('bash', () => {
  async function offers(line: string): Promise<string[]> {
    const complete = [
      'source "$1"/vnic.bash; read -ra COMP_WORDS <<< "$2"; [[ $2 == *" " ]] && COMP_WORDS+=("")',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: this is bash
      'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _vnic; printf "%s\\n" "${COMPREPLY[@]}"',
    ].join('\n');
    const { status, stdout, stderr } = await run(['bash', '-c', complete, 'bash', folder, line], { cwd: folder });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return stdout.split('\n').filter((word) => word !== '');
  }

  it.each(cases)('completes %j', async (line, offered) => {
    expect((await offers(line)).sort()).toEqual([...offered].sort());
  });

  it('quotes a hostile name and does not run it', async () => {
    expect(await offers('vnic delete ')).toEqual(['\\$\\(id\\>z\\)', 'tap0']);
    expect(readdirSync(folder)).not.toContain('z');
  });
});

describe('fish', () => {
  async function offers(line: string): Promise<string[]> {
    const script = 'source $argv[1]/vnic.fish; complete -C $argv[2]';
    const { status, stdout, stderr } = await run(['fish', '--no-config', '-c', script, folder, line], { cwd: folder });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const words = stdout.split('\n').map((row) => row.split('\t')[0] ?? '');
    return words.filter((word) => word !== '');
  }

  it.each(cases)('completes %j', async (line, offered) => {
    expect((await offers(line)).sort()).toEqual([...offered].sort());
  });

  it('does not run a hostile name', async () => {
    expect((await offers('vnic delete ')).sort()).toEqual([hostile, 'tap0']);
    expect(readdirSync(folder)).not.toContain('z');
  });
});

describe('zsh', () => {
  /** zsh completes only in its line editor: this one runs in a pseudo-terminal and prints the edited line. */
  const setup = `
PS1=; unsetopt zle_bracketed_paste; setopt no_beep no_auto_menu no_list_ambiguous; LISTMAX=1000
autoload -U compinit; compinit -u -D; source $1/vnic.zsh
report() { print -r -- "<<$BUFFER>>"; BUFFER=; zle reset-prompt }
zle -N report; bindkey '^X' report
print ready
`;
  const driver = `
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "set -- $1; source $1/setup.zsh"
zpty -r shell out $'*ready\\r\\n*'
zpty -w -n shell "$2"$'\\t\\x18'
zpty -r shell out $'*<<*>>*'
print -r -- "$out"
zpty -d shell
`;

  async function completed(line: string): Promise<string> {
    writeFileSync(join(folder, 'setup.zsh'), setup);
    const { stdout } = await run(['zsh', '-f', '-c', driver, 'zsh', folder, line], { cwd: folder });
    return /<<(.*)>>/.exec(stdout)?.[1] ?? stdout;
  }

  const unique = cases.filter(([, offered]) => offered.length === 1);

  it.each(unique)('completes %j', async (line, [offered]) => {
    expect(await completed(line)).toBe(`${line.slice(0, line.lastIndexOf(' ') + 1)}${offered} `);
  });

  it('offers nothing where there is nothing to offer', async () => {
    for (const [line] of cases.filter(([, offered]) => offered.length === 0)) expect(await completed(line)).toBe(line);
  });

  it('completes one of several words', async () => {
    expect(await completed('vnic set tap0 --promisc of')).toBe('vnic set tap0 --promisc off ');
    expect(await completed('vnic dem')).toBe('vnic demo ');
  });

  it('quotes a hostile name and does not run it', async () => {
    expect(await completed('vnic delete \\$')).toBe('vnic delete \\$\\(id\\>z\\) ');
    expect(readdirSync(folder)).not.toContain('z');
  });
});
