/** Multi-queue devices: several queues in one thread or one a worker thread, and programs that choose the queue. */

export { DeviceQueues, openQueues, type QueuesOptions } from './device-queues.ts';
export { createQueueCounters, QUEUE_COUNTERS_LEN, queueCounters } from './queue-counters.ts';
export { QueueWorker, type QueueWorkerState } from './queue-worker.ts';
export { QueueWorkers, type QueueWorkersEvents, type RunInWorkersOptions, runInWorkers } from './queue-workers.ts';
export {
  loadSteeringProgram,
  type PortSteering,
  SteeringProgram,
  steerByDestinationPort,
  steerToQueue,
} from './steering-program.ts';
export { openQueueInWorker, type WorkerQueue } from './worker-queue.ts';
