/** What to type in another terminal to reach what this program answers for. */

import { readFileSync } from 'node:fs';

import { type Cidr, IpAddress } from '../base/index.ts';
import { inUserNamespace, networkNamespaceId } from '../native/index.ts';

/** One address of each answered prefix that is worth a ping: the first host that is not the device's own. */
export function pingTargets(answers: readonly Cidr[], own: readonly IpAddress[]): IpAddress[] {
  return answers.flatMap((cidr) => {
    if (cidr.isHost) return [cidr.address];
    const target = firstHosts(cidr).find((host) => !own.some((address) => address.equals(host)));
    return target === undefined ? [] : [target];
  });
}

/** `ping ADDRESS`, entering this process's network namespace where another terminal is in a different one. */
export function pingCommand(target: IpAddress): string {
  const ping = `ping ${target}`;
  if (!isPrivateNetwork()) return ping;
  return inUserNamespace()
    ? `nsenter --target ${process.pid} --user --net --preserve-credentials ${ping}`
    : `sudo nsenter --target ${process.pid} --net ${ping}`;
}

/** True when a process that this one descends from, as far as they can be looked into, is in another network. */
function isPrivateNetwork(): boolean {
  const own = networkNamespaceId();
  for (let pid = process.ppid; pid > 0; pid = parentOf(pid)) {
    const namespace = networkNamespaceId(pid);
    if (namespace !== undefined && namespace !== own) return true;
  }
  return inUserNamespace();
}

function parentOf(pid: number): number {
  try {
    return Number(/^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** The first few hosts of a subnet: more than it has addresses of the device, as a rule. */
function firstHosts({ network }: Cidr): IpAddress[] {
  const bytes = network.address.bytes;
  const hosts: IpAddress[] = [];
  const count = 2 ** Math.min(4, bytes.length * 8 - network.prefixLen);
  for (let number = count > 2 ? 1 : 0; number < (count > 2 ? count - 1 : count); number++) {
    const host = bytes.slice();
    host[host.length - 1] = (host.at(-1) as number) | number;
    hosts.push(IpAddress.fromBytes(host));
  }
  // 10.0.0.1 is as a rule this side of the cable, so people try 10.0.0.2 first.
  return hosts.length > 2 ? [...hosts.slice(1), hosts[0] as IpAddress] : hosts;
}
