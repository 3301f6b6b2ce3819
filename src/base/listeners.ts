/** A typed event emitter of few lines, so that pure folders need no `node:events`. */

type Handler<T> = (event: T) => void;

/**
 * Handlers by event name. `Events` maps each name to what its handlers receive.
 *
 * A handler that throws does not keep the others from running: the first error is thrown once all have run.
 */
export class Listeners<Events extends object> {
  readonly #handlers = new Map<keyof Events, Set<Handler<never>>>();

  /** Adds a handler; the returned function removes it and may be called more than once. */
  on<Name extends keyof Events>(name: Name, handler: Handler<Events[Name]>): () => void {
    const handlers = this.#handlers.get(name) ?? new Set();
    this.#handlers.set(name, handlers);
    // A wrapper of its own, so that one function can be added twice and removed once.
    const entry: Handler<never> = (event) => handler(event as Events[Name]);
    handlers.add(entry);
    return () => handlers.delete(entry);
  }

  /** Calls the handlers in the order in which they were added. */
  emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    const errors: unknown[] = [];
    for (const handler of [...(this.#handlers.get(name) ?? [])]) {
      try {
        (handler as Handler<Events[Name]>)(event);
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }

  /** How many handlers an event has. */
  count(name: keyof Events): number {
    return this.#handlers.get(name)?.size ?? 0;
  }

  /** Removes every handler. */
  clear(): void {
    this.#handlers.clear();
  }
}
