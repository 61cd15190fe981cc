// One message in the log.

export class Message {
  #words;
  #language;
  #fresh;
  #text;
  #state;
  #told;

  constructor(document, told, { words, language, fresh }) {
    this.#words = words;
    this.#language = language;
    this.#fresh = fresh;
    this.#told = told;
    this.element = document.createElement("div");
    this.element.className = `message ${told.sender_type}`;
    this.element.dataset.seq = "Infinity";
    this.#text = this.#add("p", "text");
    this.#text.dir = "auto";
    this.#text.textContent = told.content;
    this.#state = this.#add("p", "state");
    this.element.prepend(this.#part("p", "who", words[told.sender_type]));
  }

  get seq() {
    return Number(this.element.dataset.seq);
  }

  // Whether this is what ``told`` says, stored later.
  isLike(told) {
    return this.#told.sender_type === told.sender_type && this.#told.content.trim() === told.content.trim();
  }

  // ``name``: a word of `words.js` about a message on its way.
  mark(name) {
    this.element.dataset.state = name;
    this.#state.textContent = this.#words[name];
  }

  // Not read out piece by piece: whoever listens hears that it is written, and then the whole.
  isDraft() {
    this.element.classList.add("draft");
    this.#text.setAttribute("aria-hidden", "true");
    this.#state.textContent = this.#words.writing;
  }

  say(text) {
    this.element.classList.toggle("silent", text === "");
    this.#text.textContent = text;
  }

  // As the service has it: its place, its time, its files.
  settle(told) {
    this.#told = told;
    if (told.seq !== null) this.element.dataset.seq = told.seq;
    delete this.element.dataset.state;
    this.#text.textContent = told.content;
    const time = this.#part("time", "", this.#clock(told.timestamp));
    time.dateTime = told.timestamp;
    this.#state.replaceChildren(time);
    for (const old of this.element.querySelectorAll(".file")) old.remove();
    told.attachments.forEach((file, index) => this.#text.after(this.#file(file, index)));
  }

  remove() {
    this.element.remove();
  }

  #file(file, index) {
    const link = this.#part("a", "file", file.name || this.#words.file);
    link.href = address(file.link);
    link.target = "_blank";
    link.rel = "noopener";
    link.dir = "auto";
    link.addEventListener("click", async (event) => {
      event.preventDefault();
      const now = await this.#fresh(this.#told).catch(() => this.#told);
      open(address(now.attachments[index]?.link ?? file.link), "_blank", "noopener");
    });
    return link;
  }

  #clock(timestamp) {
    return new Date(timestamp).toLocaleTimeString(this.#language, { hour: "numeric", minute: "2-digit" });
  }

  #add(tag, name) {
    return this.element.appendChild(this.#part(tag, name, ""));
  }

  #part(tag, name, text) {
    const part = this.element.ownerDocument.createElement(tag);
    if (name) part.className = name;
    part.textContent = text;
    return part;
  }
}

// The address of one of our own files: below the service, whatever path it is served under.
function address(link) {
  return new URL(`..${link}`, import.meta.url).href;
}
