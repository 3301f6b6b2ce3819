/** The worker's side of `runInWorkers`: opens the queue of this worker. */

import { type MessagePort, workerData } from 'node:worker_threads';

import { isVnicError, type VnicError, VnicError as VnicErrorClass } from '../base/index.ts';
import type { TunTapDevice } from '../tun/index.ts';
import { openQueue } from './device-queues.ts';
import { writableQueueCounters } from './queue-counters.ts';
import {
  type FromWorker,
  type QueueSetup,
  type QueueWorkerData,
  type ToWorker,
  toPlainError,
} from './worker-protocol.ts';

/** What a worker of `runInWorkers` works on. */
export interface WorkerQueue {
  /**
   * This worker's queue. It is closed when the thread that runs the workers closes them, and by the end of the worker
   * at the latest, whatever ends it.
   */
  readonly link: TunTapDevice;
  /** The number of this worker and its queue, from 0. */
  readonly index: number;
  /** `RunInWorkersOptions.workerData`. */
  readonly data: unknown;
}

/**
 * Opens the queue of this worker, in its turn. Call it once, in a module that `runInWorkers` runs, and set up a reader
 * right after: the kernel gives the queue packets from now on.
 * @throws VNIC_INVALID_ARGUMENT in any other thread, and what `openQueues` throws
 */
export async function openQueueInWorker(): Promise<WorkerQueue> {
  const { vnicQueue: setup, data } = (workerData ?? {}) as Partial<QueueWorkerData>;
  if (setup === undefined) {
    throw new VnicErrorClass('VNIC_INVALID_ARGUMENT', {
      attempted: 'open the queue of this worker',
      reason: 'this thread was not started by runInWorkers',
      hint: 'Pass the module to runInWorkers, or open queues with openQueues.',
    });
  }
  const { control, index } = setup;
  await turnToOpen(control);
  const link = await openOwnQueue(setup);
  link.on('gone', (error) => send(control, { type: 'gone', error: toPlainError(error) }));
  control.on('message', (message: ToWorker) => obey(message, link, control));
  // The link keeps the worker alive, for as long as somebody reads it.
  control.unref();
  send(control, { type: 'ready' });
  return { link, index, data };
}

function turnToOpen(control: MessagePort): Promise<void> {
  send(control, { type: 'waiting' });
  return new Promise((resolve) => {
    control.once('message', () => resolve());
  });
}

async function openOwnQueue(setup: QueueSetup): Promise<TunTapDevice> {
  const { control, counters, device, ifindex, index, name } = setup;
  try {
    return await openQueue({ ...device, counters: writableQueueCounters(counters, index) }, name, ifindex);
  } catch (error) {
    if (isVnicError(error)) send(control, { type: 'failed', error: toPlainError(error) });
    control.unref();
    throw error;
  }
}

function obey(message: ToWorker, link: TunTapDevice, control: MessagePort): void {
  if (message.type === 'close') {
    void link.close().finally(() => control.close());
    return;
  }
  if (message.type === 'open') return;
  const error = attempt(() => (message.type === 'attach' ? link.attachQueue() : link.detachQueue()));
  const { request } = message;
  send(
    control,
    error === undefined ? { type: 'done', request } : { type: 'done', request, error: toPlainError(error) },
  );
}

function attempt(change: () => void): VnicError | undefined {
  try {
    change();
    return undefined;
  } catch (error) {
    if (isVnicError(error)) return error;
    throw error;
  }
}

function send(control: MessagePort, message: FromWorker): void {
  control.postMessage(message);
}
