/**
 * One worker thread with its queue, as the thread sees it that runs it.
 *
 *   starting -(waiting, open)-> opening -> ready -> ended
 *   any -> failed     an exception, an exit status other than 0, a queue that cannot be opened, an end before `ready`
 *
 * `settled` is the one place where an end is told: after the thread is gone, and with it the descriptor.
 */

import {
  MessageChannel,
  type MessagePort,
  receiveMessageOnPort,
  Worker,
  type WorkerOptions,
} from 'node:worker_threads';

import { VnicError } from '../base/index.ts';
import type { LinkCounters } from '../link/index.ts';
import { type FromWorker, fromPlainError, type QueueSetup, type ToWorker } from './worker-protocol.ts';

/** `failed` after an error, otherwise `ended`, once the thread is gone. */
export type QueueWorkerState = 'starting' | 'ready' | 'ended' | 'failed';

/** What a worker tells the one who runs it. */
export interface QueueWorkerHandlers {
  message(index: number, message: unknown): void;
  gone(error: VnicError): void;
  settled(worker: QueueWorker): void;
}

interface Pending {
  resolve(): void;
  reject(error: VnicError): void;
}

/** How a worker is started; the rest is up to `QueueWorkers`. */
export interface QueueWorkerOptions {
  readonly module: string | URL;
  readonly setup: Omit<QueueSetup, 'control'>;
  readonly data: unknown;
  readonly counters: LinkCounters;
  readonly worker: Pick<WorkerOptions, 'argv' | 'env' | 'execArgv' | 'resourceLimits'>;
}

/** One worker of `QueueWorkers`. */
export class QueueWorker {
  readonly index: number;
  /** Live, in shared memory; they stay when the worker has ended. */
  readonly counters: LinkCounters;
  readonly #name: string;
  readonly #thread: Worker;
  readonly #control: MessagePort;
  readonly #handlers: QueueWorkerHandlers;
  readonly #requests = new Map<number, Pending>();
  readonly #exited: Promise<void>;
  #nextRequest = 0;
  #hadQueue = false;
  #state: QueueWorkerState = 'starting';
  #error: VnicError | undefined;
  #ending = false;
  #becameReady: Pending | undefined;
  #mayOpen: (() => void) | undefined;
  #waiting = false;

  constructor(options: QueueWorkerOptions, handlers: QueueWorkerHandlers) {
    const { port1, port2 } = new MessageChannel();
    this.index = options.setup.index;
    this.counters = options.counters;
    this.#name = options.setup.name;
    this.#handlers = handlers;
    this.#control = port1;
    this.#thread = new Worker(options.module, {
      ...options.worker,
      name: `${this.#name}-${this.index}`,
      workerData: { vnicQueue: { ...options.setup, control: port2 }, data: options.data },
      transferList: [port2],
    });
    port1.on('message', (message: FromWorker) => this.#onControl(message));
    // The thread itself keeps the process alive.
    port1.unref();
    this.#thread.on('message', (message) => handlers.message(this.index, message));
    this.#thread.on('error', (cause) => this.#onError(cause));
    this.#exited = new Promise((resolve) => {
      this.#thread.once('exit', (code) => {
        try {
          this.#onExit(code);
        } finally {
          resolve();
        }
      });
    });
  }

  get state(): QueueWorkerState {
    return this.#state;
  }

  /** Whether it has ever opened its queue. @internal */
  get hadQueue(): boolean {
    return this.#hadQueue;
  }

  /** Why it failed; undefined otherwise. */
  get error(): VnicError | undefined {
    return this.#error;
  }

  /** The number that Node gave the thread; -1 after its end. */
  get threadId(): number {
    return this.#thread.threadId;
  }

  /** Sends to the worker, which gets it by `parentPort`. */
  postMessage(message: unknown): void {
    this.#thread.postMessage(message);
  }

  /** As `TunTapDevice.detachQueue`, in the worker. */
  detach(): Promise<void> {
    return this.#request('detach');
  }

  /** As `TunTapDevice.attachQueue`, in the worker. */
  attach(): Promise<void> {
    return this.#request('attach');
  }

  /**
   * Lets the worker open its queue and waits until it has.
   * @throws why it could not, VNIC_WORKER_FAILED after `timeoutMs`
   */
  async open(timeoutMs: number): Promise<void> {
    const failed = this.#error;
    if (failed !== undefined) throw failed;
    const timer = setTimeout(() => this.#tooLate(timeoutMs), timeoutMs);
    try {
      await new Promise<void>((resolve, reject) => {
        this.#becameReady = { resolve, reject };
        this.#mayOpen = () => this.#send({ type: 'open' });
        if (this.#waiting) this.#mayOpen();
      });
    } finally {
      clearTimeout(timer);
      this.#becameReady = undefined;
    }
  }

  /** Closes the link in the worker and waits for the thread's end; ends the thread after `timeoutMs`. */
  async close(timeoutMs: number): Promise<void> {
    // It waits for its turn and has nothing to close.
    if (this.#state === 'starting') return this.terminate();
    this.#ending = true;
    this.#send({ type: 'close' });
    const timer = setTimeout(() => void this.#thread.terminate(), timeoutMs);
    await this.#exited;
    clearTimeout(timer);
  }

  /** Ends the thread at once, wherever it is; its queue goes with it. This is no failure. */
  async terminate(): Promise<void> {
    this.#ending = true;
    await this.#thread.terminate();
    await this.#exited;
  }

  /** Lets the process end although the worker runs. */
  unref(): void {
    this.#thread.unref();
  }

  #request(type: 'attach' | 'detach'): Promise<void> {
    if (this.#state !== 'ready') return Promise.reject(this.#notRunning(type));
    const request = this.#nextRequest++;
    return new Promise((resolve, reject) => {
      this.#requests.set(request, { resolve, reject });
      this.#send({ type, request });
    });
  }

  #send(message: ToWorker): void {
    this.#control.postMessage(message);
  }

  #onControl(message: FromWorker): void {
    switch (message.type) {
      case 'waiting':
        this.#waiting = true;
        this.#mayOpen?.();
        break;
      case 'ready':
        this.#state = 'ready';
        this.#hadQueue = true;
        this.#becameReady?.resolve();
        break;
      case 'failed':
        this.#error ??= fromPlainError(message.error);
        this.#becameReady?.reject(this.#error);
        break;
      case 'gone':
        this.#handlers.gone(fromPlainError(message.error));
        break;
      case 'done': {
        const pending = this.#requests.get(message.request);
        this.#requests.delete(message.request);
        if (message.error === undefined) pending?.resolve();
        else pending?.reject(fromPlainError(message.error));
      }
    }
  }

  #onError(cause: unknown): void {
    this.#readControl();
    this.#error ??= this.#failure(cause instanceof Error ? cause.message : String(cause), cause);
  }

  #onExit(code: number): void {
    this.#readControl();
    if (this.#error === undefined && !this.#ending) {
      if (code !== 0) this.#error = this.#failure(`it ended with exit status ${code}`);
      else if (this.#state === 'starting') this.#error = this.#failure('it ended before it had opened its queue');
    }
    this.#state = this.#error === undefined ? 'ended' : 'failed';
    this.#control.close();
    this.#becameReady?.reject(this.#error ?? this.#notRunning('open its queue'));
    for (const { reject } of this.#requests.values()) reject(this.#error ?? this.#notRunning('answer'));
    this.#requests.clear();
    this.#handlers.settled(this);
  }

  /** What the worker has said on its own port may come after the event of its end. */
  #readControl(): void {
    for (;;) {
      const received = receiveMessageOnPort(this.#control);
      if (received === undefined) return;
      this.#onControl(received.message as FromWorker);
    }
  }

  #tooLate(timeoutMs: number): void {
    this.#error ??= this.#failure(`it has not called openQueueInWorker within ${timeoutMs} ms`);
    this.#becameReady?.reject(this.#error);
    void this.#thread.terminate();
  }

  #failure(reason: string, cause?: unknown): VnicError {
    return new VnicError('VNIC_WORKER_FAILED', {
      attempted: `run queue ${this.index} of ${this.#name} in a worker`,
      reason,
      hint: 'Correct the worker module; `cause` is what it threw.',
      cause,
    });
  }

  #notRunning(what: string): VnicError {
    return new VnicError('VNIC_LINK_CLOSED', {
      attempted: `${what} in worker ${this.index} of ${this.#name}`,
      reason: 'the worker is not running',
      hint: 'Look at `state` before.',
    });
  }
}
