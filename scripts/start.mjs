/**
 * `npm start`: sets the checkout up and runs the demo; arguments go to it.
 *
 *   npm start -- --help
 */

import { inRoot, runProgram } from './process.mjs';
import { setup } from './setup.mjs';

await setup();
process.exitCode = await runProgram([process.execPath, inRoot('dist/cli/main.js'), 'demo', ...process.argv.slice(2)]);
