// The live feed of the conversation: followed until it is stopped, from where it was left.

import { Waiting } from "./waiting.js";

const PAUSE = 3_000;

export class Feed {
  #hear;
  #waiting;
  #last = null;
  #running = null;

  // ``hear``: an async generator of events, given a signal to stop at. What it throws is tried again.
  constructor(hear, waiting) {
    this.#hear = hear;
    this.#waiting = waiting;
  }

  // The header that says where to go on.
  get place() {
    return this.#last === null ? {} : { "last-event-id": this.#last };
  }

  follow() {
    this.stop();
    this.#running = new AbortController();
    this.#run(this.#running.signal);
  }

  stop() {
    this.#running?.abort();
    this.#last = null;
  }

  async #run(signal) {
    for (let failures = 0; !signal.aborted; ) {
      let pause = PAUSE;
      try {
        for await (const event of this.#hear(signal)) {
          failures = 0;
          if (signal.aborted) return;
          if (event.id) this.#last = event.id;
          if (event.retry) pause = event.retry;
        }
      } catch (error) {
        pause = Math.max(Waiting.backoff(failures++), (error.seconds ?? 0) * 1000);
      }
      if (!signal.aborted) await this.#waiting.sleep(pause);
    }
  }
}
