/** Assigned numbers that the codecs know, as in the IANA registries of their names. */

/** EtherType, IEEE 802 numbers. */
export const EtherType: {
  readonly ipv4: 0x0800;
  readonly arp: 0x0806;
  readonly vlan: 0x8100;
  readonly ipv6: 0x86dd;
  readonly pause: 0x8808;
  readonly serviceVlan: 0x88a8;
  readonly eapol: 0x888e;
  readonly lldp: 0x88cc;
  readonly oldStackedVlan: 0x9100;
} = {
  ipv4: 0x0800,
  arp: 0x0806,
  /** 802.1Q customer tag. */
  vlan: 0x8100,
  ipv6: 0x86dd,
  pause: 0x8808,
  /** 802.1ad service tag. */
  serviceVlan: 0x88a8,
  eapol: 0x888e,
  lldp: 0x88cc,
  /** Stacked tags from before 802.1ad. */
  oldStackedVlan: 0x9100,
};

/** Protocol (IPv4) and next header (IPv6) numbers. */
export const IpProtocol: {
  readonly hopByHop: 0;
  readonly icmpv4: 1;
  readonly igmp: 2;
  readonly ipv4: 4;
  readonly tcp: 6;
  readonly udp: 17;
  readonly ipv6: 41;
  readonly routing: 43;
  readonly fragment: 44;
  readonly gre: 47;
  readonly esp: 50;
  readonly authentication: 51;
  readonly icmpv6: 58;
  readonly noNextHeader: 59;
  readonly destinationOptions: 60;
  readonly sctp: 132;
} = {
  hopByHop: 0,
  icmpv4: 1,
  igmp: 2,
  ipv4: 4,
  tcp: 6,
  udp: 17,
  ipv6: 41,
  routing: 43,
  fragment: 44,
  gre: 47,
  esp: 50,
  authentication: 51,
  icmpv6: 58,
  noNextHeader: 59,
  destinationOptions: 60,
  sctp: 132,
};

/** ICMPv4 message types (RFC 792). */
export const Icmpv4Type: {
  readonly echoReply: 0;
  readonly destinationUnreachable: 3;
  readonly sourceQuench: 4;
  readonly redirect: 5;
  readonly echoRequest: 8;
  readonly routerAdvertisement: 9;
  readonly routerSolicitation: 10;
  readonly timeExceeded: 11;
  readonly parameterProblem: 12;
  readonly timestamp: 13;
  readonly timestampReply: 14;
} = {
  echoReply: 0,
  destinationUnreachable: 3,
  sourceQuench: 4,
  redirect: 5,
  echoRequest: 8,
  routerAdvertisement: 9,
  routerSolicitation: 10,
  timeExceeded: 11,
  parameterProblem: 12,
  timestamp: 13,
  timestampReply: 14,
};

/** Codes of an ICMPv4 destination unreachable (RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1). */
export const Icmpv4UnreachableCode: {
  readonly net: 0;
  readonly host: 1;
  readonly protocol: 2;
  readonly port: 3;
  readonly fragmentationNeeded: 4;
  readonly sourceRouteFailed: 5;
  readonly netProhibited: 9;
  readonly hostProhibited: 10;
  readonly prohibited: 13;
} = {
  net: 0,
  host: 1,
  protocol: 2,
  port: 3,
  fragmentationNeeded: 4,
  sourceRouteFailed: 5,
  netProhibited: 9,
  hostProhibited: 10,
  prohibited: 13,
};

/** ICMPv6 message types (RFC 4443, RFC 4861, RFC 2710, RFC 3810). */
export const Icmpv6Type: {
  readonly destinationUnreachable: 1;
  readonly packetTooBig: 2;
  readonly timeExceeded: 3;
  readonly parameterProblem: 4;
  readonly echoRequest: 128;
  readonly echoReply: 129;
  readonly mldQuery: 130;
  readonly mldReport: 131;
  readonly mldDone: 132;
  readonly routerSolicitation: 133;
  readonly routerAdvertisement: 134;
  readonly neighborSolicitation: 135;
  readonly neighborAdvertisement: 136;
  readonly redirect: 137;
  readonly mldv2Report: 143;
} = {
  destinationUnreachable: 1,
  packetTooBig: 2,
  timeExceeded: 3,
  parameterProblem: 4,
  echoRequest: 128,
  echoReply: 129,
  mldQuery: 130,
  mldReport: 131,
  mldDone: 132,
  routerSolicitation: 133,
  routerAdvertisement: 134,
  neighborSolicitation: 135,
  neighborAdvertisement: 136,
  redirect: 137,
  mldv2Report: 143,
};

/** Codes of an ICMPv6 destination unreachable (RFC 4443 section 3.1). */
export const Icmpv6UnreachableCode: {
  readonly noRoute: 0;
  readonly prohibited: 1;
  readonly beyondScope: 2;
  readonly address: 3;
  readonly port: 4;
} = { noRoute: 0, prohibited: 1, beyondScope: 2, address: 3, port: 4 };

/** Codes of an ICMPv6 parameter problem (RFC 4443 section 3.4). */
export const Icmpv6ParameterCode: {
  readonly erroneousField: 0;
  readonly unrecognizedNextHeader: 1;
  readonly unrecognizedOption: 2;
} = { erroneousField: 0, unrecognizedNextHeader: 1, unrecognizedOption: 2 };

/** ARP operations (RFC 826). */
export const ArpOperation: { readonly request: 1; readonly reply: 2 } = { request: 1, reply: 2 };

/** Neighbour discovery option types (RFC 4861 section 4.6, RFC 8106). */
export const NdpOptionType: {
  readonly sourceLinkLayerAddress: 1;
  readonly targetLinkLayerAddress: 2;
  readonly prefixInformation: 3;
  readonly redirectedHeader: 4;
  readonly mtu: 5;
  readonly nonce: 14;
  readonly rdnss: 25;
} = {
  sourceLinkLayerAddress: 1,
  targetLinkLayerAddress: 2,
  prefixInformation: 3,
  redirectedHeader: 4,
  mtu: 5,
  nonce: 14,
  rdnss: 25,
};

/** TCP option kinds (RFC 9293 section 3.1, RFC 7323, RFC 2018). */
export const TcpOptionKind: {
  readonly endOfList: 0;
  readonly noOperation: 1;
  readonly maximumSegmentSize: 2;
  readonly windowScale: 3;
  readonly sackPermitted: 4;
  readonly sack: 5;
  readonly timestamps: 8;
} = {
  endOfList: 0,
  noOperation: 1,
  maximumSegmentSize: 2,
  windowScale: 3,
  sackPermitted: 4,
  sack: 5,
  timestamps: 8,
};

/** IPv4 option types (RFC 791, RFC 2113). */
export const Ipv4OptionType: {
  readonly endOfList: 0;
  readonly noOperation: 1;
  readonly recordRoute: 7;
  readonly timestamp: 68;
  readonly security: 130;
  readonly looseSourceRoute: 131;
  readonly strictSourceRoute: 137;
  readonly routerAlert: 148;
} = {
  endOfList: 0,
  noOperation: 1,
  recordRoute: 7,
  timestamp: 68,
  security: 130,
  looseSourceRoute: 131,
  strictSourceRoute: 137,
  routerAlert: 148,
};
