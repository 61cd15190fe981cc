// Where the visitor writes: Enter sends, Shift and Enter begin a new line, and a word that is being put together is left alone.

const SHOW_LEFT = 500;

export class Composer {
  #form;
  #text;
  #send;
  #count;
  #words;

  constructor(document, words) {
    this.#words = words;
    this.#form = document.getElementById("composer");
    this.#text = document.getElementById("text");
    this.#send = document.getElementById("send");
    this.#count = document.getElementById("count");
  }

  on({ typed, said }) {
    this.#text.addEventListener("input", () => {
      this.#say();
      if (this.#text.value.trim()) typed();
    });
    this.#text.addEventListener("keydown", (event) => {
      // 229: what browsers say whose input method has already ended the word with this very key.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      this.#form.requestSubmit();
    });
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.#text.value.trim();
      this.#text.focus();
      if (!text) return;
      this.#text.value = "";
      this.#say();
      said(text);
    });
  }

  get hasFocus() {
    return [this.#text, this.#send].includes(this.#text.ownerDocument.activeElement);
  }

  set isOff(value) {
    this.#text.disabled = this.#send.disabled = value;
  }

  focus() {
    this.#text.focus();
  }

  // Puts a text back, unless another one was begun.
  giveBack(text) {
    this.#text.value ||= text;
    this.#say();
  }

  // How much more there is room for, when it becomes little.
  #say() {
    const left = this.#text.maxLength - this.#text.value.length;
    this.#count.textContent = left <= SHOW_LEFT ? this.#words.left(left) : "";
  }
}
