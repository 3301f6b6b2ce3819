/**
 * Loaded into a program in JavaScript before its own modules: sent `profile-start` and `profile-stop`, it tells how many
 * seconds of its main thread were JavaScript and how many garbage collection.
 */

import { Session } from 'node:inspector/promises';

const samplingIntervalUs = 500;
const session = new Session();

process.on('message', async (message) => {
  if (message === 'profile-start') {
    session.connect();
    await session.post('Profiler.enable');
    await session.post('Profiler.setSamplingInterval', { interval: samplingIntervalUs });
    await session.post('Profiler.start');
    process.send('started');
  }
  if (message === 'profile-stop') {
    const { profile } = await session.post('Profiler.stop');
    session.disconnect();
    process.send(secondsOf(profile));
  }
});

/** What is neither is not told: native functions, idle time, and V8 and libuv themselves. */
function secondsOf({ nodes, samples, timeDeltas }) {
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const seconds = { script: 0, collection: 0 };
  samples.forEach((id, i) => {
    const { url, functionName } = frames.get(id);
    if (functionName === '(garbage collector)') seconds.collection += timeDeltas[i] / 1e6;
    // Functions of native modules have no URL. A sample is of what is on top of the stack.
    else if (url !== '') seconds.script += timeDeltas[i] / 1e6;
  });
  return seconds;
}
