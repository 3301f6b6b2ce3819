/** UDP in batches, as `native/udp.c` offers it; the layout of descriptors, endpoints and status is documented there. */

/** Bits of the `options` word of `udpReceive` and `udpSend`. */
export const UdpCall = {
  /** Receiving: `UDP_GRO` is on. Sending: runs of equal datagrams go out by `UDP_SEGMENT`. */
  offload: 1,
  /** The socket is of `AF_INET6`. */
  ipv6: 2,
  /** Receiving: tell who sent. */
  names: 4,
  /** Receiving: ask for control messages. */
  control: 8,
  /** Sending: out of the interface that the endpoint names. */
  stickyInterface: 16,
  /** Sending: from this bit on the longest datagram for which `UDP_SEGMENT` is tried, 0 for any. */
  segmentLimitShift: 16,
} as const;

/** Words of the status of `udpReceive` and `udpSend`. */
export const UDP_STATUS_WORDS = 8;

/** Words that `udpError` fills. */
export const UDP_ERROR_WORDS = 32;

/** Bytes of batch memory that receiving needs free to take one more message. */
export const UDP_SLOT_LEN = 67_008;

/** Descriptors that receiving with `UDP_GRO` needs free to take one more message. */
export const UDP_GRO_SEGMENTS = 128;

/** The functions of `native/udp.c`. */
export interface NativeUdp {
  udpConnect(fd: number, sockaddr: Uint8Array): number;
  /**
   * Receives what is queued, as far as there is room.
   * `status` = [errno that ended it or 0, bytes, endpoint records filled, messages, drop counter of the socket,
   * 1 if there is one, datagrams lost for want of room].
   * @returns how many datagrams were received; it does not fail.
   */
  udpReceive(
    fd: number,
    bytes: Uint8Array,
    descriptors: Uint32Array,
    endpoints: Uint32Array,
    options: number,
    status: Uint32Array,
  ): number;
  /**
   * Sends datagrams `from` to `to` up to the first message that fails. Without `endpoints` the second half of a
   * descriptor is not looked at and all goes to the peer of the connected socket.
   * `status` = [errno that ended it or 0, bytes, datagrams sent; of the message that failed: descriptors, datagrams,
   * length of a segment or 0; messages sent, 1 when the kernel stopped on the way, which an error in the queue may
   * have caused].
   * @returns how many descriptors were taken; the failing message is not counted.
   */
  udpSend(
    fd: number,
    bytes: Uint8Array,
    descriptors: Uint32Array,
    endpoints: Uint32Array | undefined,
    from: number,
    to: number,
    options: number,
    status: Uint32Array,
  ): number;
  /**
   * Takes one error from the error queue into `out`, of `UDP_ERROR_WORDS`.
   * @returns 1, or 0 when there is none.
   */
  udpError(fd: number, out: Uint32Array): number;
}
