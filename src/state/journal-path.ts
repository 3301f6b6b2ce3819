/** Which journal belongs to a configuration file. */

import { realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

import { DEFAULT_CONFIG_PATH } from '../config/index.ts';

/** The absolute path, without symbolic links in its folder: the same file is the same owner, also once it is gone. */
export function journalPath(path: string = DEFAULT_CONFIG_PATH): string {
  const absolute = resolve(path);
  try {
    return realpathSync(absolute);
  } catch {
    return join(realFolder(dirname(absolute)), basename(absolute));
  }
}

function realFolder(folder: string): string {
  try {
    return realpathSync(folder);
  } catch {
    return folder;
  }
}
