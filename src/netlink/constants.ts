/**
 * Numbers of the kernel's netlink interface, under the names of the headers they come from.
 *
 * Each block names its header in `include/uapi/linux/`. Only what vnic speaks is here.
 */

/** `socket.h`, `netlink.h`: what a route netlink socket is opened with. */
export const AF_NETLINK: number = 16;
export const SOCK_RAW: number = 3;
export const NETLINK_ROUTE: number = 0;

/** `asm-generic/socket.h` */
export const SOL_SOCKET: number = 1;
export const SO_RCVBUF: number = 8;
export const SO_RCVBUFFORCE: number = 33;

/** `netlink.h`: socket options of level `SOL_NETLINK`, each an `int`. */
export const SOL_NETLINK: number = 270;
export const NETLINK_CAP_ACK: number = 10;
export const NETLINK_EXT_ACK: number = 11;
export const NETLINK_GET_STRICT_CHK: number = 12;

/** `bits/socket.h`: flags of `recvfrom(2)`. */
export const MSG_PEEK: number = 0x02;
export const MSG_TRUNC: number = 0x20;

/** `bits/socket.h`: address families in the messages. */
export const AF_UNSPEC: number = 0;
export const AF_INET: number = 2;
export const AF_INET6: number = 10;
export const AF_BRIDGE: number = 7;

/** `netlink.h`: control message types. */
export const NLMSG_NOOP: number = 1;
export const NLMSG_ERROR: number = 2;
export const NLMSG_DONE: number = 3;
export const NLMSG_OVERRUN: number = 4;

/** `netlink.h`: header flags. */
export const NLM_F_REQUEST: number = 0x01;
export const NLM_F_ACK: number = 0x04;
export const NLM_F_DUMP_INTR: number = 0x10;
export const NLM_F_DUMP: number = 0x300;
export const NLM_F_REPLACE: number = 0x100;
export const NLM_F_EXCL: number = 0x200;
export const NLM_F_CREATE: number = 0x400;
/** On an `NLMSG_ERROR`: the request is not repeated behind its header. */
export const NLM_F_CAPPED: number = 0x100;
/** On an `NLMSG_ERROR` or `NLMSG_DONE`: attributes of the extended ACK follow. */
export const NLM_F_ACK_TLVS: number = 0x200;

/** `netlink.h`, `enum nlmsgerr_attrs`. */
export const NLMSGERR_ATTR_MSG: number = 1;
export const NLMSGERR_ATTR_OFFS: number = 2;

/** `netlink.h`: the two top bits of an attribute type are flags. */
export const NLA_F_NESTED: number = 0x8000;
export const NLA_TYPE_MASK: number = 0x3fff;

/** `rtnetlink.h`: message types. */
export const Rtm = {
  NEWLINK: 16,
  DELLINK: 17,
  GETLINK: 18,
  SETLINK: 19,
  NEWADDR: 20,
  DELADDR: 21,
  GETADDR: 22,
  NEWROUTE: 24,
  DELROUTE: 25,
  GETROUTE: 26,
  NEWNEIGH: 28,
  DELNEIGH: 29,
  GETNEIGH: 30,
  NEWRULE: 32,
  DELRULE: 33,
  GETRULE: 34,
  NEWNSID: 88,
  DELNSID: 89,
  GETNSID: 90,
  NEWLINKPROP: 108,
  DELLINKPROP: 109,
} as const;

/** `rtnetlink.h`, `enum rtnetlink_groups`: multicast groups of events. */
export const Rtnlgrp = {
  LINK: 1,
  NEIGH: 3,
  IPV4_IFADDR: 5,
  IPV4_ROUTE: 7,
  IPV4_RULE: 8,
  IPV6_IFADDR: 9,
  IPV6_ROUTE: 11,
  IPV6_RULE: 19,
  NSID: 28,
} as const;

/** `if_link.h`: attributes of `RTM_*LINK`. */
export const Ifla = {
  ADDRESS: 1,
  BROADCAST: 2,
  IFNAME: 3,
  MTU: 4,
  LINK: 5,
  QDISC: 6,
  MASTER: 10,
  PROTINFO: 12,
  TXQLEN: 13,
  OPERSTATE: 16,
  LINKMODE: 17,
  LINKINFO: 18,
  IFALIAS: 20,
  STATS64: 23,
  GROUP: 27,
  NET_NS_FD: 28,
  PROMISCUITY: 30,
  NUM_TX_QUEUES: 31,
  NUM_RX_QUEUES: 32,
  EXT_MASK: 29,
  CARRIER: 33,
  CARRIER_CHANGES: 35,
  LINK_NETNSID: 37,
  GSO_MAX_SEGS: 40,
  GSO_MAX_SIZE: 41,
  NEW_NETNSID: 45,
  NEW_IFINDEX: 49,
  MIN_MTU: 50,
  MAX_MTU: 51,
  PROP_LIST: 52,
  ALT_IFNAME: 53,
} as const;

/** `rtnetlink.h`: a bit of `IFLA_EXT_MASK`. */
export const RTEXT_FILTER_SKIP_STATS: number = 1 << 3;

/** `if_link.h`: attributes nested in `IFLA_LINKINFO`. */
export const IflaInfo = { KIND: 1, DATA: 2, SLAVE_KIND: 4, SLAVE_DATA: 5 } as const;

/** `veth.h`: attributes nested in `IFLA_INFO_DATA` of the kind `veth`. */
export const VETH_INFO_PEER: number = 1;

/** `if_link.h`: attributes nested in `IFLA_INFO_DATA` of the kind `bridge`; times in 1/100 s (`USER_HZ`). */
export const IflaBr = {
  FORWARD_DELAY: 1,
  HELLO_TIME: 2,
  MAX_AGE: 3,
  AGEING_TIME: 4,
  STP_STATE: 5,
  PRIORITY: 6,
  VLAN_FILTERING: 7,
  GROUP_FWD_MASK: 9,
  ROOT_ID: 10,
  BRIDGE_ID: 11,
  ROOT_PORT: 12,
  ROOT_PATH_COST: 13,
  MCAST_SNOOPING: 23,
  VLAN_DEFAULT_PVID: 39,
} as const;

/** `if_link.h`: attributes nested in `IFLA_INFO_SLAVE_DATA` of a port of a bridge. */
export const IflaBrport = {
  STATE: 1,
  PRIORITY: 2,
  COST: 3,
  MODE: 4,
  GUARD: 5,
  PROTECT: 6,
  FAST_LEAVE: 7,
  LEARNING: 8,
  UNICAST_FLOOD: 9,
  NO: 18,
  MCAST_FLOOD: 27,
  BCAST_FLOOD: 30,
  NEIGH_SUPPRESS: 32,
  ISOLATED: 33,
  LOCKED: 39,
} as const;

/** `if_link.h`: attributes nested in `IFLA_INFO_DATA` of the kind `tun`. */
export const IflaTun = {
  OWNER: 1,
  GROUP: 2,
  TYPE: 3,
  PI: 4,
  VNET_HDR: 5,
  PERSIST: 6,
  MULTI_QUEUE: 7,
  NUM_QUEUES: 8,
  NUM_DISABLED_QUEUES: 9,
} as const;

/** `if_tun.h`: values of `IFLA_TUN_TYPE`. */
export const IFF_TUN: number = 1;
export const IFF_TAP: number = 2;

/** `if.h`: interface flags. */
export const Iff = {
  UP: 0x1,
  BROADCAST: 0x2,
  DEBUG: 0x4,
  LOOPBACK: 0x8,
  POINTOPOINT: 0x10,
  NOTRAILERS: 0x20,
  RUNNING: 0x40,
  NOARP: 0x80,
  PROMISC: 0x100,
  ALLMULTI: 0x200,
  MASTER: 0x400,
  SLAVE: 0x800,
  MULTICAST: 0x1000,
  PORTSEL: 0x2000,
  AUTOMEDIA: 0x4000,
  DYNAMIC: 0x8000,
  LOWER_UP: 0x1_0000,
  DORMANT: 0x2_0000,
  ECHO: 0x4_0000,
} as const;

/** `if_addr.h`: attributes of `RTM_*ADDR`. */
export const Ifa = {
  ADDRESS: 1,
  LOCAL: 2,
  LABEL: 3,
  BROADCAST: 4,
  ANYCAST: 5,
  CACHEINFO: 6,
  FLAGS: 8,
  RT_PRIORITY: 9,
  PROTO: 11,
} as const;

/** `if_addr.h`: address flags. */
export const IfaF = {
  SECONDARY: 0x01,
  NODAD: 0x02,
  OPTIMISTIC: 0x04,
  DADFAILED: 0x08,
  HOMEADDRESS: 0x10,
  DEPRECATED: 0x20,
  TENTATIVE: 0x40,
  PERMANENT: 0x80,
  MANAGETEMPADDR: 0x100,
  NOPREFIXROUTE: 0x200,
  MCAUTOJOIN: 0x400,
  STABLE_PRIVACY: 0x800,
} as const;

/** `rtnetlink.h`: attributes of `RTM_*ROUTE`. */
export const Rta = {
  DST: 1,
  SRC: 2,
  IIF: 3,
  OIF: 4,
  GATEWAY: 5,
  PRIORITY: 6,
  PREFSRC: 7,
  METRICS: 8,
  MULTIPATH: 9,
  CACHEINFO: 12,
  TABLE: 15,
  VIA: 18,
  PREF: 20,
  EXPIRES: 23,
} as const;

/** `rtnetlink.h`: attributes nested in `RTA_METRICS`. */
export const Rtax = { MTU: 2 } as const;

/** `rtnetlink.h`: next-hop flags, also in `rtm_flags`. */
export const RtnhF = { DEAD: 1, PERVASIVE: 2, ONLINK: 4, OFFLOAD: 8, LINKDOWN: 16, UNRESOLVED: 32, TRAP: 64 } as const;

/** `rtnetlink.h`: route tables. */
export const RT_TABLE_UNSPEC: number = 0;
export const RT_TABLE_MAIN: number = 254;

/** `neighbour.h`: attributes of `RTM_*NEIGH`. */
export const Nda = { DST: 1, LLADDR: 2, VLAN: 5, IFINDEX: 8, MASTER: 9, PROTOCOL: 12 } as const;

/** `neighbour.h`, `NUD_*`: states. */
export const Nud = {
  INCOMPLETE: 0x01,
  REACHABLE: 0x02,
  STALE: 0x04,
  DELAY: 0x08,
  PROBE: 0x10,
  FAILED: 0x20,
  NOARP: 0x40,
  PERMANENT: 0x80,
} as const;

/** `neighbour.h`, `NTF_*`: flags. */
export const Ntf = {
  USE: 0x01,
  SELF: 0x02,
  MASTER: 0x04,
  PROXY: 0x08,
  EXT_LEARNED: 0x10,
  OFFLOADED: 0x20,
  STICKY: 0x40,
  ROUTER: 0x80,
} as const;

/** `fib_rules.h`: attributes of `RTM_*RULE`. */
export const Fra = {
  DST: 1,
  SRC: 2,
  IIFNAME: 3,
  GOTO: 4,
  PRIORITY: 6,
  FWMARK: 10,
  SUPPRESS_PREFIXLEN: 14,
  TABLE: 15,
  FWMASK: 16,
  OIFNAME: 17,
  UID_RANGE: 20,
  PROTOCOL: 21,
  IP_PROTO: 22,
  SPORT_RANGE: 23,
  DPORT_RANGE: 24,
} as const;

/** `fib_rules.h`: flag of a rule that holds for what does not match. */
export const FIB_RULE_INVERT: number = 2;

/** `net_namespace.h`: attributes of `RTM_*NSID`. */
export const Netnsa = { NSID: 1, FD: 3 } as const;

/** `netlink.h`: the protocol of generic netlink sockets. */
export const NETLINK_GENERIC: number = 16;

/** `genetlink.h`: the family that knows the others, its commands and attributes. */
export const GENL_ID_CTRL: number = 16;
export const CtrlCmd = { GETFAMILY: 3 } as const;
export const CtrlAttr = { FAMILY_ID: 1, FAMILY_NAME: 2 } as const;

/** `ethtool_netlink.h`: commands, and the attributes of `ETHTOOL_MSG_FEATURES_*`. */
export const EthtoolMsg = { FEATURES_GET: 11, FEATURES_SET: 12 } as const;
export const EthtoolFeatures = { HEADER: 1, WANTED: 3, ACTIVE: 4 } as const;
export const EthtoolHeader = { DEV_INDEX: 1, DEV_NAME: 2 } as const;
export const EthtoolBitset = { NOMASK: 1, BITS: 3, BITS_BIT: 1 } as const;
export const EthtoolBit = { NAME: 2, VALUE: 3 } as const;
