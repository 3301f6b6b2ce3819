/**
 * A multi-queue device with each queue in a worker thread of its own.
 *
 * Theory of operation
 *
 * This thread opens the device, detaches its own descriptor, so that it takes no packets, and keeps it: the device
 * lives as long as the workers are run, whichever of them ends, and is steered through it. Each worker opens its
 * queue by name, one after the other, so that the kernel's numbers are the workers' indexes at first. A worker's
 * descriptor belongs to the worker's environment, which closes it at its end, also after `terminate()`.
 *
 *   open    this thread's queue (detached) -> workers started together -> queues opened in turn -> run
 *   failure of one: the others are closed, or go on (`onFailure`); told by `failed` and `wait()`
 *   end     close(), or the last worker ends, or the device is deleted -> the descriptor of this thread closed
 */

import type { WorkerOptions } from 'node:worker_threads';
import { invalidArgument, Listeners, throwIfAborted, type VnicError } from '../base/index.ts';
import type { LinkCounters } from '../link/index.ts';
import type { TunTapDevice } from '../tun/index.ts';
import { addTotals, openFirstQueue, type QueuesOptions, zeroTotals } from './device-queues.ts';
import { createQueueCounters, queueCounters } from './queue-counters.ts';
import { QueueWorker, type QueueWorkerHandlers } from './queue-worker.ts';
import type { SteeringProgram } from './steering-program.ts';

/** The kernel's limit, less the descriptor that this thread keeps. */
const WORKERS_MAX = 255;

/** How queues are run in workers. */
export interface RunInWorkersOptions {
  /** The module that each worker runs; it calls `openQueueInWorker`. */
  readonly worker: string | URL;
  /** How many workers, 1 to 255. */
  readonly queues: number;
  /** How the device is opened, in plain data. */
  readonly device: Omit<QueuesOptions, 'queues'>;
  /** What each worker gets as `WorkerQueue.data`; anything that can be cloned. */
  readonly workerData?: unknown;
  /** When one worker fails: `close` all others, or let them `continue` with its flows; default `close`. */
  readonly onFailure?: 'close' | 'continue';
  /** How long a worker may take until it opens its queue; default 10,000 ms. */
  readonly readyTimeoutMs?: number;
  /** How long a worker may take from `close()` to its end before it is terminated; default 2,000 ms. */
  readonly closeTimeoutMs?: number;
  /** Passed on to Node for each worker. */
  readonly workerOptions?: Pick<WorkerOptions, 'argv' | 'env' | 'execArgv' | 'resourceLimits'>;
  /** Ends the start. Use `close()` afterwards. */
  readonly signal?: AbortSignal;
}

/** What happens to workers. */
export interface QueueWorkersEvents {
  /** A worker has failed; its thread and its queue are gone. */
  failed: { readonly index: number; readonly error: VnicError };
  /** The device was deleted: the links of all workers have ended. */
  gone: VnicError;
  /** A worker has sent this by `parentPort.postMessage`. */
  message: { readonly index: number; readonly message: unknown };
}

/** The workers of one device. Start them with `runInWorkers`. */
export class QueueWorkers {
  readonly name: string;
  /** Index of the interface. */
  readonly ifindex: number;
  /** Memory of the counters, laid out as `queueCounters` documents, for other threads to look at. */
  readonly countersMemory: SharedArrayBuffer = createQueueCounters(WORKERS_MAX);
  readonly #options: RunInWorkersOptions;
  readonly #keeper: TunTapDevice;
  readonly #events = new Listeners<QueueWorkersEvents>();
  readonly #workers: QueueWorker[] = [];
  #running = 0;
  // Resolves when all is over.
  readonly #ended: Promise<void>;
  #end: () => void = () => undefined;
  #waiting = 0;
  #started = false;
  #failure: VnicError | undefined;
  #closing: Promise<void> | undefined;

  /** Use `runInWorkers`. */
  constructor(options: RunInWorkersOptions, keeper: TunTapDevice) {
    this.#options = options;
    this.#keeper = keeper;
    this.name = keeper.name;
    this.ifindex = keeper.ifindex;
    this.#ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /** All workers that were started, by index; those that have ended included. */
  get workers(): readonly QueueWorker[] {
    return this.#workers;
  }

  /** The totals of all workers. */
  get counters(): LinkCounters {
    const totals = zeroTotals();
    for (const { counters } of this.#workers) addTotals(totals, counters);
    return totals;
  }

  /** Adds a handler for one kind of event; the returned function removes it. */
  on<Name extends keyof QueueWorkersEvents>(
    event: Name,
    handler: (event: QueueWorkersEvents[Name]) => void,
  ): () => void {
    return this.#events.on(event, handler);
  }

  /**
   * Starts one more worker with a queue of its own.
   * @throws as `runInWorkers`; the other workers go on
   */
  async add(): Promise<QueueWorker> {
    const worker = this.start();
    await this.openQueueOf(worker);
    return worker;
  }

  /** As `TunTapDevice.setSteering`; the numbers of queues are those of the workers until one ends or is detached. */
  setSteering(program: SteeringProgram | undefined): void {
    this.#keeper.setSteering(program?.fd);
  }

  /** Lets the process end although workers run. */
  unref(): void {
    for (const worker of this.#workers) worker.unref();
  }

  /**
   * Waits until all workers have ended and the device was let go.
   * @throws the first failure: VNIC_WORKER_FAILED, VNIC_DEVICE_GONE, or why a queue could not be opened
   */
  async wait(): Promise<void> {
    this.#waiting++;
    await this.#ended;
    this.#waiting--;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Closes all links, ends all workers and lets go of the device. Never fails. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** As `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Starts a thread. @internal */
  start(): QueueWorker {
    const index = this.#workers.length;
    if (index >= WORKERS_MAX)
      throw invalidArgument(`start worker ${index}`, `at most ${WORKERS_MAX} workers`, index + 1);
    const { name: _, ...device } = this.#options.device;
    const { countersMemory: counters, name, ifindex } = this;
    const worker = new QueueWorker(
      {
        module: this.#options.worker,
        setup: { index, name, ifindex, device, counters },
        data: this.#options.workerData,
        counters: queueCounters(counters, index),
        worker: this.#options.workerOptions ?? {},
      },
      this.#handlers,
    );
    this.#workers.push(worker);
    this.#running++;
    return worker;
  }

  /** Waits for a worker's queue. @internal */
  async openQueueOf(worker: QueueWorker): Promise<void> {
    await worker.open(this.#options.readyTimeoutMs ?? 10_000);
  }

  /** From now on failures are told by events. @throws why a worker has failed already @internal */
  run(): void {
    const failed = this.#workers.find(({ error }) => error !== undefined);
    if (failed?.error !== undefined) throw failed.error;
    this.#started = true;
    if (this.#running === 0) void this.close();
    this.#keeper.on('gone', (error) => this.#onGone(error));
    // Somebody who listens for the device's state makes it notice its deletion without being read.
    this.#keeper.on('down', () => undefined);
  }

  readonly #handlers: QueueWorkerHandlers = {
    message: (index, message) => this.#events.emit('message', { index, message }),
    gone: (error) => this.#onGone(error),
    settled: (worker) => this.#onSettled(worker),
  };

  #onGone(error: VnicError): void {
    if (this.#failure?.code === 'VNIC_DEVICE_GONE' || this.#closing !== undefined) return;
    this.#failure ??= error;
    this.#events.emit('gone', error);
    void this.close();
  }

  #onSettled(worker: QueueWorker): void {
    this.#running--;
    if (!this.#started) return;
    const { error, index } = worker;
    try {
      // One that never had its queue is the affair of whoever started it.
      if (error !== undefined && worker.hadQueue) this.#onFailed(index, error);
    } finally {
      if (this.#running === 0) void this.close();
    }
  }

  #onFailed(index: number, error: VnicError): void {
    this.#failure ??= error;
    const isTold = this.#events.count('failed') > 0 || this.#waiting > 0 || this.#closing !== undefined;
    if ((this.#options.onFailure ?? 'close') === 'close') void this.close();
    if (isTold) {
      this.#events.emit('failed', { index, error });
      return;
    }
    // Nobody to tell: an error must not vanish.
    throw error;
  }

  async #close(): Promise<void> {
    const timeoutMs = this.#options.closeTimeoutMs ?? 2_000;
    const running = this.#workers.filter(({ state }) => state === 'starting' || state === 'ready');
    await Promise.all(running.map((worker) => worker.close(timeoutMs)));
    await this.#keeper.close();
    this.#end();
  }
}

/**
 * Opens a multi-queue device and runs each queue in a worker thread.
 * @returns once every worker has its queue
 * @throws VNIC_WORKER_FAILED when a worker ends or throws before that, VNIC_TOO_MANY_QUEUES, VNIC_ABORTED, and the rest of
 *   what `openQueues` throws; nothing is left running then
 */
export async function runInWorkers(options: RunInWorkersOptions): Promise<QueueWorkers> {
  const { device, queues, signal } = options;
  const attempted = `run ${queues} queues in workers`;
  if (!Number.isInteger(queues) || queues < 1 || queues > WORKERS_MAX) {
    throw invalidArgument(attempted, `a number of queues of 1 to ${WORKERS_MAX}`, queues);
  }
  throwIfAborted(signal, attempted);
  const keeper = await openFirstQueue({ ...device, queues });
  let workers: QueueWorkers | undefined;
  try {
    keeper.detachQueue();
    workers = new QueueWorkers(options, keeper);
    const started = Array.from({ length: queues }, () => (workers as QueueWorkers).start());
    for (const worker of started) {
      throwIfAborted(signal, attempted);
      await workers.openQueueOf(worker);
    }
    if (device.persist !== undefined) keeper.setPersist(device.persist);
    workers.run();
    return workers;
  } catch (error) {
    await (workers ?? keeper).close();
    throw error;
  }
}
