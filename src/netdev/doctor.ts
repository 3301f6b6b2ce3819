/**
 * What of vnic works on this machine, and what to type where it does not.
 *
 * Every check looks at the machine itself, by trying where that leaves nothing behind; none changes anything. What
 * has to make a device (which offloads the kernel offers) runs in a sandbox.
 */

import type { Check, DoctorContext } from './check.ts';
import { checkEncryption, checkIoUring, checkUdpOffload } from './doctor-data-path.ts';
import { checkCapabilities, checkUserNamespaces } from './doctor-privilege.ts';
import {
  checkContainer,
  checkFileLimit,
  checkIpv6,
  checkKernel,
  checkNativeCore,
  checkNetlink,
  checkNetworkNamespace,
  checkNode,
  checkPrograms,
} from './doctor-system.ts';
import { checkFeatures, checkOffloads, checkTunDriver, checkTunNode } from './doctor-tun.ts';
import { probeSandbox } from './sandbox.ts';

/** How thoroughly the machine is examined. */
export interface DoctorOptions {
  /**
   * A program with arguments that prints what `probeOffloads` gives as JSON; it is run in a sandbox. Without it
   * the offloads are not checked.
   */
  readonly offloadProbe?: readonly string[];
}

/** Checks everything, in the order in which one thing needs the other. Never throws for what it finds. */
export async function examineMachine(options: DoctorOptions = {}): Promise<Check[]> {
  const context: DoctorContext = { sandbox: probeSandbox(), offloadProbe: options.offloadProbe };
  const core = checkNativeCore();
  const system = [checkNode(), core, checkKernel()];
  const driver = [checkTunDriver()];
  const rights = [checkCapabilities(context), checkUserNamespaces(context), checkNetworkNamespace(), checkContainer()];
  const rest = [checkIpv6(), checkFileLimit(), checkPrograms()];
  // Without the native core nothing below can be tried.
  if (core.status === 'fail') return [...system, ...driver, ...rights, ...rest];
  return [
    ...system,
    ...driver,
    await checkTunNode(),
    ...rights,
    await checkNetlink(),
    checkFeatures(),
    ...(options.offloadProbe === undefined ? [] : [checkOffloads(context)]),
    checkIoUring(),
    checkUdpOffload(),
    checkEncryption(),
    ...rest,
  ];
}
