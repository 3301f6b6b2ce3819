/**
 * Bytes of a file as they come, for a reader that needs several at once: what was not consumed stays in front of what is
 * appended. It holds no more than the longest piece that its reader waits for, and one chunk.
 */
export class ByteQueue {
  bytes: Uint8Array = new Uint8Array(0);
  /** Over `bytes`. */
  view: DataView = new DataView(this.bytes.buffer);
  /** First byte that was not consumed. */
  at = 0;
  #end = 0;
  #appended = 0;

  /** Bytes that can be read from `at` on. */
  get available(): number {
    return this.#end - this.at;
  }

  /** Where `at` is in the file. */
  get position(): number {
    return this.#appended - this.available;
  }

  /** Copies a chunk in; `bytes` may be another array afterwards. */
  append(chunk: Uint8Array): void {
    const kept = this.available;
    if (this.#end + chunk.length > this.bytes.length) {
      const target = kept + chunk.length > this.bytes.length ? new Uint8Array(kept + chunk.length) : this.bytes;
      if (target === this.bytes) target.copyWithin(0, this.at, this.#end);
      else target.set(this.bytes.subarray(this.at, this.#end));
      this.bytes = target;
      this.view = new DataView(target.buffer, target.byteOffset, target.length);
      this.at = 0;
      this.#end = kept;
    }
    this.bytes.set(chunk, this.#end);
    this.#end += chunk.length;
    this.#appended += chunk.length;
  }

  /** Goes on behind `length` bytes, which are available. */
  consume(length: number): void {
    this.at += length;
  }
}
