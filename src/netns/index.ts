/** Network namespaces: open, make, delete, list; and the kernel settings of each. Linux only. */

export {
  type Forwarding,
  type InterfaceSettings,
  type Ipv4Settings,
  type Ipv6Settings,
  readForwarding,
  readInterfaceSettings,
  settingSysctls,
  writeForwarding,
  writeInterfaceSettings,
} from './interface-settings.ts';
export {
  type CreateNamespaceOptions,
  createNamespace,
  deleteNamespace,
  listNamespaces,
  type NamedNamespace,
} from './named.ts';
export {
  currentNetworkNamespace,
  describeNamespace,
  NETNS_FOLDER,
  type NetnsOptions,
  type NetnsSelector,
  NetworkNamespace,
  namespaceOfFile,
  openNetworkNamespace,
  withNamespace,
} from './namespace.ts';
export { readProcNet } from './proc-net.ts';
export { interfaceSysctl, readSysctl, writeSysctl } from './sysctl.ts';
