/** What a queue's worker and the thread that runs it say to each other, over a port of their own. */

import type { MessagePort } from 'node:worker_threads';

import { type VnicError, VnicError as VnicErrorClass, type VnicErrorCode } from '../base/index.ts';
import type { QueuesOptions } from './device-queues.ts';

/** `workerData` of a worker that `runInWorkers` starts. */
export interface QueueWorkerData {
  readonly vnicQueue: QueueSetup;
  /** What the caller of `runInWorkers` has for it. */
  readonly data: unknown;
}

/** All that a worker needs to open its queue. */
export interface QueueSetup {
  readonly index: number;
  readonly name: string;
  readonly ifindex: number;
  readonly device: Omit<QueuesOptions, 'queues' | 'name'>;
  readonly counters: SharedArrayBuffer;
  readonly control: MessagePort;
}

/** From the worker; `waiting` asks for its turn to open, so that queues are opened in the order of their indexes. */
export type FromWorker =
  | { readonly type: 'waiting' | 'ready' }
  | { readonly type: 'failed' | 'gone'; readonly error: PlainError }
  | { readonly type: 'done'; readonly request: number; readonly error?: PlainError };

/** To the worker. */
export type ToWorker =
  | { readonly type: 'open' }
  | { readonly type: 'close' }
  | { readonly type: 'attach' | 'detach'; readonly request: number };

/** The fields of a `VnicError`; errors lose their class between threads. */
export type PlainError = Pick<VnicError, 'code' | 'attempted' | 'reason' | 'hint' | 'errno' | 'syscall'>;

export function toPlainError(error: VnicError): PlainError {
  const { code, attempted, reason, hint, errno, syscall } = error;
  return { code, attempted, reason, hint, errno, syscall };
}

export function fromPlainError(plain: PlainError): VnicError {
  const { attempted, reason, hint, errno, syscall } = plain;
  return new VnicErrorClass(plain.code satisfies VnicErrorCode, {
    attempted,
    reason,
    hint,
    ...(errno === undefined ? {} : { errno }),
    ...(syscall === undefined ? {} : { syscall }),
  });
}
