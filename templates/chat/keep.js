// What a reload must not lose: the token of the conversation, and what was written and not yet sent.
//
// Kept in the tab's sessionStorage: it ends with the tab, so the next person at a shared computer finds nothing.

const EMPTY = { token: null, business: null, disclosure: null, outbox: [] };

export class Keep {
  #name;
  #values;

  // ``workspace``: each business has a conversation of its own in the same tab.
  constructor(workspace) {
    this.#name = `switchboard-chat:${workspace ?? ""}`;
    this.#values = { ...EMPTY, outbox: [], ...this.#stored() };
  }

  get token() { return this.#values.token; }
  get business() { return this.#values.business; }
  get disclosure() { return this.#values.disclosure; }
  get outbox() { return this.#values.outbox; }

  // A conversation has begun, as the service tells it.
  begin({ token, workspace, disclosure }) {
    Object.assign(this.#values, { token, business: workspace, disclosure });
    this.#store();
  }

  // The conversation is over; what was not sent stays.
  forget() {
    Object.assign(this.#values, { token: null, disclosure: null });
    this.#store();
  }

  push(entry) {
    this.#values.outbox.push(entry);
    this.#store();
  }

  shift() {
    this.#values.outbox.shift();
    this.#store();
  }

  // A browser that keeps nothing for us (an embedded page with storage blocked) has a chat that ends with a reload.
  #stored() {
    try {
      return JSON.parse(sessionStorage.getItem(this.#name)) || {};
    } catch {
      return {};
    }
  }

  #store() {
    try {
      sessionStorage.setItem(this.#name, JSON.stringify(this.#values));
    } catch {
      return; // as above: in memory it is kept all the same
    }
  }
}
