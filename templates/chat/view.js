// What is seen and heard of the conversation. Every text goes in as text: markup in a message is shown, never obeyed.

import { Composer } from "./composer.js";
import { Message } from "./message.js";

const NOTHING_TO_RETRY = ["refused", "untracked"];
const OF_THE_LINE = ["lost", "trouble", "untracked"];
const NEAR = 60; // pixels from the end of the log within which a reader is taken to follow it

export class View {
  #words;
  #language;
  #document;
  #composer;
  #shown = new Map(); // by the id of the message
  #unsent = new Map(); // by the nonce of what was written
  #untracked = []; // answered while the service could not store it
  #draft = null;
  #handlers = {};
  #atEnd = true;

  constructor(document, words, language) {
    this.#document = document;
    this.#words = words;
    this.#language = language;
    document.documentElement.lang = language;
    for (const element of document.querySelectorAll("[data-word]")) element.textContent = words[element.dataset.word];
    for (const element of document.querySelectorAll("[data-label]")) {
      element.setAttribute("aria-label", words[element.dataset.label]);
    }
    this.#composer = new Composer(document, words);
    this.#keepAtEnd();
  }

  // ``typed()``, ``said(text)``, ``retry()``, ``anew()`` and ``fresh(message)`` are called when that happens.
  on(handlers) {
    this.#handlers = handlers;
    this.#composer.on(handlers);
    this.#find("retry").addEventListener("click", handlers.retry);
    this.#find("anew").addEventListener("click", handlers.anew);
  }

  get isEmpty() {
    return this.#shown.size === 0;
  }

  focus() {
    this.#composer.focus();
  }

  about({ business, disclosure }) {
    if (business) this.#find("business").textContent = this.#document.title = business;
    this.#find("disclosure").textContent = disclosure ?? "";
    this.#find("disclosure").hidden = !disclosure;
  }

  // Something was written and is on its way.
  outgoing(entry) {
    const message = this.#make({ sender_type: "user", content: entry.text, attachments: [] });
    message.mark("sending");
    this.#unsent.set(entry.nonce, message);
    this.#insert(message, true);
  }

  sending(entry) {
    this.#unsent.get(entry.nonce)?.mark("sending");
  }

  unsent(entry) {
    this.#unsent.get(entry.nonce)?.mark("waiting");
  }

  // It cannot be sent; the visitor gets it back to change it.
  reject(entry) {
    this.#unsent.get(entry.nonce)?.remove();
    this.#unsent.delete(entry.nonce);
    this.#composer.giveBack(entry.text);
    this.notice("refused");
  }

  // The service has it.
  stored(entry, told) {
    const message = this.#unsent.get(entry.nonce);
    this.#unsent.delete(entry.nonce);
    if (message && !this.#shown.has(told.id)) this.#settle(message, told);
    else message?.remove();
    if (!message) this.place(told);
  }

  // Shows a message in its place, once. What is in ``outbox`` may turn out to have arrived.
  place(told, outbox = []) {
    if (this.#shown.has(told.id)) return;
    const same = outbox.find((entry) => entry.text.trim() === told.content.trim() && this.#unsent.has(entry.nonce));
    if (told.sender_type === "user" && same) return this.stored(same, told);
    if (told.id === null && told.sender_type === "user" && this.#untracked.some((one) => one.isLike(told))) return;
    this.#untracked = this.#untracked.filter((message) => {
      const isThis = told.id !== null && message.isLike(told);
      if (isThis) message.remove();
      return !isThis;
    });
    this.#settle(this.#make(told), told);
  }

  // The answer as far as it is written; "" while nothing is there yet, null when there is none to wait for.
  draft(text) {
    if (text === null) {
      this.#draft?.remove();
      this.#draft = null;
      return;
    }
    if (!this.#draft) {
      this.#draft = this.#make({ sender_type: "bot", content: "", attachments: [] });
      this.#draft.isDraft();
      this.#insert(this.#draft, true);
    }
    this.#following(() => this.#draft.say(text));
  }

  handledBy(handler) {
    const met = this.#document.querySelector(".message.human");
    this.#find("handler").textContent = handler === "ai" ? "" : this.#words[met ? "by_person" : "person_asked"];
  }

  // Says what is wrong (a name in `words.js`), or with null that nothing is.
  notice(name, detail) {
    const word = name === null ? "" : this.#words[name];
    const text = typeof word === "function" ? word(detail) : word;
    if (this.#find("problem").textContent !== text) this.#find("problem").textContent = text;
    this.#find("retry").hidden = name === null || NOTHING_TO_RETRY.includes(name);
    this.#find("notice").dataset.of = name ?? "";
  }

  offline(error) {
    this.notice(error.status === 429 ? "busy" : error.status ? "trouble" : "lost", Math.ceil(error.seconds || 1));
  }

  // The feed is there again: takes back what was said about the line, not what was said about a message.
  online() {
    if (OF_THE_LINE.includes(this.#find("notice").dataset.of)) this.notice(null);
  }

  end(why) {
    this.draft(null);
    this.notice(null);
    this.#find("why").textContent = this.#words[why];
    const hadFocus = this.#composer.hasFocus;
    this.#find("ended").hidden = false;
    this.#composer.isOff = true;
    if (hadFocus) this.#find("anew").focus();
  }

  // A conversation with nothing in it but what is still to be sent.
  anew(outbox) {
    this.#find("ended").hidden = true;
    this.notice(null);
    this.about({});
    this.handledBy("ai");
    this.#find("log").replaceChildren();
    for (const kept of [this.#shown, this.#unsent]) kept.clear();
    this.#untracked = [];
    this.#draft = null;
    this.#composer.isOff = false;
    this.#find("welcome").hidden = false;
    for (const entry of outbox) this.outgoing(entry);
  }

  #settle(message, told) {
    message.settle(told);
    if (told.id === null) this.#untracked.push(message);
    else this.#shown.set(told.id, message);
    this.#insert(message, told.sender_type === "user");
  }

  // Puts it where its `seq` says; what has none yet comes last, and the draft after everything that is stored.
  #insert(message, isOwn) {
    this.#find("welcome").hidden = true;
    const log = this.#find("log");
    this.#following(() => {
      const later = [...log.children].find((one) => Number(one.dataset.seq) > message.seq);
      if (message.element.parentElement && message.element.nextElementSibling === (later ?? null)) return;
      log.insertBefore(message.element, later ?? null);
    }, isOwn);
  }

  // Does what changes the log, and goes along with it if its end was in sight, or if ``mustFollow``.
  #following(change, mustFollow = false) {
    const log = this.#find("log");
    const follows = mustFollow || isNearEnd(log);
    change();
    if (follows) log.scrollTop = log.scrollHeight;
  }

  // When the room for the log becomes another (a notice, a longer text below it), its end stays in sight if it was.
  #keepAtEnd() {
    const log = this.#find("log");
    log.addEventListener("scroll", () => { this.#atEnd = isNearEnd(log); }, { passive: true });
    new ResizeObserver(() => {
      if (this.#atEnd) log.scrollTop = log.scrollHeight;
    }).observe(log);
  }

  #make(told) {
    return new Message(this.#document, told, {
      words: this.#words,
      language: this.#language,
      fresh: (message) => this.#handlers.fresh(message),
    });
  }

  #find(id) {
    return this.#document.getElementById(id);
  }
}

function isNearEnd(log) {
  return log.scrollHeight - log.scrollTop - log.clientHeight < NEAR;
}
