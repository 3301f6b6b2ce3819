/** Why nothing flows through a device, step by step, each with the line that mends it. */

export { type ExamineDeviceOptions, examineDevice } from './examine-device.ts';
export type { PathCheck, PathCheckId } from './path-check.ts';
