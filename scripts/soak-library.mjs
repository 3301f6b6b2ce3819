/** What is soaked, and which errors that may bring. */

/** An entry point of the library, for threads that import it by themselves. */
export const entry = (name) => new URL(`../dist/${name}/index.js`, import.meta.url).href;

/** Every export of the library. */
export async function importLibrary() {
  const names = ['.', 'crypto', 'queues', 'transport'];
  return Object.assign({}, ...(await Promise.all(names.map((name) => import(entry(name))))));
}

/** What misuse, and devices deleted underneath, may bring. */
const expectedCodes = new Set([
  'VNIC_ABORTED',
  'VNIC_DEVICE_BUSY',
  'VNIC_DEVICE_GONE',
  'VNIC_INVALID_ARGUMENT',
  'VNIC_KEY_BUSY',
  'VNIC_KEY_CLOSED',
  'VNIC_LINK_CLOSED',
  'VNIC_NO_SUCH_ADDRESS',
  'VNIC_NO_SUCH_INTERFACE',
  'VNIC_QUEUE_MODE',
  'VNIC_READER_BUSY',
  // Where io_uring is forbidden.
  'VNIC_UNSUPPORTED',
  'VNIC_WORKER_FAILED',
  'VNIC_WRONG_KIND',
]);

export const isExpected = (error) => expectedCodes.has(error?.code);

/** Hides what is expected; anything else becomes an unhandled rejection, which ends the program. */
export function ignored(promise) {
  promise.catch((error) => {
    if (!isExpected(error) && error?.name !== 'TimeoutError') throw error;
  });
}
