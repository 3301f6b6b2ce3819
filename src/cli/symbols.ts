/** Signs beyond ASCII, where the locale has them. */

export interface Symbols {
  readonly ok: string;
  readonly warn: string;
  readonly fail: string;
  /** Before what mends a failure. */
  readonly fix: string;
  /** A packet that the kernel sends out of the interface. */
  readonly sent: string;
  /** A packet that the kernel receives on the interface. */
  readonly received: string;
  readonly ellipsis: string;
  readonly plusMinus: string;
}

const unicode: Symbols = {
  ok: '✓',
  warn: '!',
  fail: '✗',
  fix: '→',
  sent: '→',
  received: '←',
  ellipsis: '…',
  plusMinus: '±',
};

const ascii: Symbols = {
  ok: 'ok',
  warn: '! ',
  fail: 'x ',
  fix: '->',
  sent: '->',
  received: '<-',
  ellipsis: '...',
  plusMinus: '+-',
};

/** The signs that the locale of this process can show: LC_ALL, else LC_CTYPE, else LANG. */
export function symbols(): Symbols {
  const { LC_ALL, LC_CTYPE, LANG } = process.env;
  return /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || '') ? unicode : ascii;
}
