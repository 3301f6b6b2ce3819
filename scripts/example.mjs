/**
 * Runs an example in a private network namespace, and in the same namespace a command, or a shell to try
 * things in. The example ends when they end; one that ends by itself needs neither.
 *
 *   npm run example answer-ping                          with a shell
 *   npm run example answer-ping -- ping -c 3 10.0.0.2
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { inNamespaces, namespaceHint } from './namespaces.mjs';
import { fail, inRoot, runProgram, say } from './process.mjs';
import { compileExamples, setup } from './setup.mjs';

const self = fileURLToPath(import.meta.url);
const [first, ...rest] = process.argv.slice(2);

if (first === '--inside') process.exitCode = await runInside(...rest);
else process.exitCode = await enterNamespaces(first, rest);

async function enterNamespaces(name, command) {
  await setup();
  if (!(await compileExamples())) fail('the examples do not compile', 'the messages of tsc are above');
  if (name === undefined || !existsSync(compiled(name))) {
    fail(`no example ${name ?? 'was named'}`, 'examples/ has them; name one without .ts');
  }
  const inside = inNamespaces([process.execPath, self, '--inside', name, ...command]);
  if (inside.command === undefined) fail(`no private network namespace: ${inside.reason}`, namespaceHint);
  return runProgram(inside.command);
}

async function runInside(name, ...command) {
  const example = spawn(process.execPath, [compiled(name)], { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  example.stdout.pipe(process.stdout);
  // The first line says that the device is up.
  const ended = once(example, 'exit');
  await Promise.race([once(example.stdout, 'data'), ended]);
  // One that needs nobody ends by itself.
  if (command.length === 0) await Promise.race([ended, delay(500)]);
  if (example.exitCode !== null) return example.exitCode;
  const shell = process.env.SHELL ?? 'sh';
  if (command.length === 0) say('a shell beside the example; `exit` ends both');
  const status = await runProgram(command.length > 0 ? command : [shell]);
  example.kill('SIGTERM');
  await ended;
  return status;
}

function compiled(name) {
  return inRoot('build/examples', `${name}.js`);
}
