// Waiting before something is tried again, and being woken earlier.

const FIRST = 1_000;
const LONGEST = 30_000;

export class Waiting {
  #sleepers = new Set();

  constructor() {
    addEventListener("online", () => this.wake());
  }

  // Milliseconds before attempt number ``failures``: twice as long each time, and not the same for everybody.
  static backoff(failures) {
    return Math.min(LONGEST, FIRST * 2 ** failures) * (0.5 + Math.random() / 2);
  }

  // Returns after ``milliseconds``, or when somebody wakes it.
  sleep(milliseconds) {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#sleepers.delete(wake);
        resolve();
      };
      // Browsers take nothing longer than this for a timer.
      const timer = setTimeout(wake, Math.min(milliseconds, 2 ** 31 - 1));
      this.#sleepers.add(wake);
    });
  }

  wake() {
    for (const wake of [...this.#sleepers]) wake();
  }
}
