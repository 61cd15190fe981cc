// A visitor's conversation: what is said is sent once, what happens is shown, whatever the line does.

import { Feed } from "./feed.js";
import { Waiting } from "./waiting.js";
import { Refused, Unreachable, events, read, request } from "./wire.js";

const API = "api/v1/chat/";
const PAGE = 200;
const OVER = ["closed", "archived"];

export class Conversation {
  #keep;
  #view;
  #start;
  #waiting = new Waiting();
  #feed = new Feed((signal) => this.#hear(signal), this.#waiting);
  #readThrough = 0;
  #beginning = null;
  #prepared = false;
  #working = false; // a task is sending what is in the outbox
  #telling = false; // an answer is being told: what is read meanwhile would show it twice
  #over = false;
  #handler = "ai";
  #dueReply = false;

  constructor({ keep, view, workspace, locale }) {
    this.#keep = keep;
    this.#view = view;
    this.#start = { workspace, locale: /^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8}){0,4}$/.test(locale) ? locale : undefined };
  }

  // After the page was loaded: goes on with what the tab remembers.
  open() {
    for (const entry of this.#keep.outbox) this.#view.outgoing(entry);
    if (this.#keep.token) this.#enter();
    if (this.#keep.outbox.length) this.#work();
  }

  // The visitor has begun to write: who answers, and whether that is an AI, is to be known before it is sent.
  prepare() {
    if (this.#over || this.#prepared) return;
    this.#prepared = true;
    this.#begin().catch(() => {}); // tried again, and told, when something is sent
  }

  say(text) {
    const entry = { nonce: random(), text };
    this.#keep.push(entry);
    this.#view.outgoing(entry);
    this.#work();
  }

  // Whoever waits to try again does so now.
  retry() {
    this.#waiting.wake();
  }

  // Leaves the conversation that is over for another one. What was not sent is said there.
  startAnew() {
    this.#leave();
    this.#over = false;
    this.#view.anew(this.#keep.outbox);
    if (this.#keep.outbox.length) this.#work();
  }

  // A message as it is now: links to files hold for minutes only.
  async lookAt(message) {
    const found = await this.#list(message.seq - 1, 1);
    return found.messages[0] ?? message;
  }

  // One task at a time, so that messages arrive in the order in which they were written.
  async #work() {
    if (this.#working) return;
    this.#working = true;
    try {
      for (let failures = 0; this.#keep.outbox.length && !this.#over; ) {
        const entry = this.#keep.outbox[0];
        try {
          await this.#begin();
          this.#view.sending(entry);
          await this.#send(entry);
          this.#keep.shift();
          failures = 0;
        } catch (error) {
          await this.#mend(error, entry, failures++);
        }
      }
    } finally {
      this.#working = false;
    }
  }

  // What to do about a message that did not go through; returns when it is time for another attempt.
  async #mend(error, entry, failures) {
    if (!(error instanceof Unreachable || error instanceof Refused)) throw error;
    this.#view.unsent(entry);
    if (this.#over) return;
    const { status = 0, seconds = 0 } = error;
    const wait = Math.max(seconds * 1000, Waiting.backoff(failures));
    if (status === 401 || status === 404 || status === 409) {
      this.#end("ended");
    } else if (status === 422) {
      this.#keep.shift();
      this.#view.reject(entry);
    } else if (status === 429) {
      this.#view.notice("busy", Math.ceil(wait / 1000));
      await this.#waiting.sleep(wait);
    } else if (status === 0 || status >= 500) {
      this.#view.notice(status ? "trouble" : "lost");
      await this.#waiting.sleep(wait);
    } else {
      this.#view.notice("failed");
      await this.#waiting.sleep(Infinity);
    }
  }

  // Opens the conversation, once however many ask for it.
  async #begin() {
    if (this.#keep.token) return;
    this.#beginning ??= this.#open().finally(() => { this.#beginning = null; });
    await this.#beginning;
  }

  async #open() {
    try {
      this.#keep.begin(await read(await request(`${API}start/`, { body: this.#start })));
    } catch (error) {
      if (error instanceof Refused && [403, 404, 422].includes(error.status)) this.#end("absent");
      throw error;
    }
    this.#enter();
  }

  #enter() {
    this.#view.about(this.#keep);
    this.#feed.follow();
  }

  // The same nonce, however often: the service takes it for the same message and gives the same answer.
  async #send(entry) {
    const body = { content: entry.text, client_nonce: entry.nonce };
    const headers = { accept: "text/event-stream" };
    this.#telling = true;
    try {
      const response = await request(`${API}messages/`, { token: this.#keep.token, body, headers });
      await this.#listen(entry, response);
    } finally {
      this.#telling = false;
      this.#view.draft(this.#dueReply ? "" : null);
      // Also after an attempt that failed: what happened during it was not read. If this fails, the feed tries again.
      if (!this.#over) this.#refresh().catch(() => {});
    }
  }

  async #listen(entry, response) {
    let text = "";
    for await (const { name, data } of events(response)) {
      if (name === "message") {
        this.#view.stored(entry, data.message);
        if (this.#handler === "ai") this.#view.draft(""); // not before: an attempt that fails is no answer to wait for
      }
      if (name === "error") throw new Refused(data, data.status, 0);
      if (name === "discarded") text = "";
      if (name === "delta") text += data.text;
      if (name === "discarded" || name === "delta") this.#view.draft(text);
      if (name === "done") return this.#answered(data);
    }
    throw new Unreachable(); // it has ended too early
  }

  #answered({ reply, pending, handler, tracked }) {
    this.#dueReply = pending;
    if (reply) this.#view.place(reply);
    this.#view.notice(tracked ? null : "untracked");
    this.#handledBy(handler);
  }

  // What the feed does while the page is open: connect first, then read, so that nothing falls in between.
  async *#hear(signal) {
    const asked = { token: this.#keep.token, signal };
    try {
      const response = await request("api/events", { ...asked, headers: this.#feed.place });
      await this.#refresh();
      this.#view.online();
      this.#waiting.wake(); // what waits to be sent need not wait any longer
      for await (const event of events(response)) {
        yield event;
        if (event.name && event.name !== "end") await this.#refresh();
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused && [401, 403, 404].includes(error.status)) return this.#refused();
      if (error instanceof Refused || error instanceof Unreachable) this.#view.offline(error);
      throw error;
    }
  }

  // Reads what is new; not while an answer is being told, after which it is done anyway.
  async #refresh() {
    for (let full = true; full && !this.#telling; ) {
      const found = await this.#list(this.#readThrough, PAGE);
      if (this.#telling) return;
      for (const message of found.messages) this.#place(message);
      full = found.count === PAGE;
      this.#handledBy(found.handler);
      if (OVER.includes(found.status)) this.#end("ended");
    }
  }

  #place(message) {
    this.#readThrough = Math.max(this.#readThrough, message.seq);
    if (message.sender_type !== "user") {
      this.#dueReply = false;
      this.#view.draft(null);
    }
    this.#view.place(message, this.#keep.outbox);
  }

  async #list(after, limit) {
    const path = `${API}messages/?after_seq=${after}&limit=${limit}`;
    return read(await request(path, { token: this.#keep.token }));
  }

  #handledBy(handler) {
    this.#handler = handler;
    this.#view.handledBy(handler);
  }

  // The token opens nothing any more. If nothing is shown of it yet, the visitor need not know that there was one.
  #refused() {
    if (this.#view.isEmpty) this.startAnew();
    else this.#end("ended");
  }

  #end(why) {
    this.#over = true;
    this.#feed.stop();
    this.#view.end(why);
  }

  #leave() {
    this.#feed.stop();
    this.#keep.forget();
    this.#readThrough = 0;
    this.#prepared = false;
    this.#dueReply = false;
    this.#handler = "ai";
  }
}

// A name for a message that nobody else has. `crypto.randomUUID` is not there on pages without TLS.
function random() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
