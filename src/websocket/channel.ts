/** What a WebSocket is to the rest of vnic. Without the types of `ws`, which those who use vnic need not have. */

/** Who is told of what comes. */
export interface WebSocketChannelEvents {
  /** A binary message. The bytes are the receiver's own. */
  onMessage(bytes: Uint8Array): void;
  /** A text message, which is no packet; it was thrown away. */
  onText(): void;
  /** Nothing more comes; with the error, unless the other side has closed it in order. Called once. */
  onEnd(error: Error | undefined): void;
}

/** An open WebSocket. */
export interface WebSocketChannel {
  /** Begins reading. To be called once. */
  start(events: WebSocketChannelEvents): void;
  /** Sends a binary message. `bytes` must stay as they are until `onSent`, which is called in any case. */
  send(bytes: Uint8Array, onSent?: () => void): void;
  /** Holds back what is sent until `uncork`, so that it goes out in one piece. */
  cork(): void;
  /** Sends what `cork` has held back. */
  uncork(): void;
  /** Stops reading. */
  pause(): void;
  /** Goes on reading. */
  resume(): void;
  /** Sends what was written and a close message, and ends within a second. Idempotent. */
  close(): void;
  /** Ends at once. Idempotent. */
  destroy(): void;
}
