/** All that a configuration has to run: a new section of the file adds what it has here. */

import type { Config } from '../config/index.ts';
import { linkRunnables } from './link-runnable.ts';
import type { Runnable } from './runnable.ts';
import { switchRunnables } from './switch-runnable.ts';
import { tunnelRunnables } from './tunnel-runnable.ts';

/** In the order in which it is shown. */
export function runnablesOf(config: Config): readonly Runnable[] {
  return [...linkRunnables(config), ...tunnelRunnables(config), ...switchRunnables(config)];
}
