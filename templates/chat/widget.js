// Puts a chat into any page: <script src="https://desk.example/widget.js" data-workspace="1" async></script>
//
// data-workspace  which business, where there are several     data-label     what the button says; "Chat" without
// data-position   "left" or "right" (without: right)          data-lang      the chat's language; the browser's without
//
// What is seen is inside a shadow tree and a frame: no style reaches in or out, and no name is left behind.
(() => {
  "use strict";
  const MARK = "data-switchboard-chat";
  const OPEN = "switchboard-chat-open";
  const STYLE = `
    :host {
      all: initial !important; display: block !important; position: fixed !important; z-index: 2147483000 !important;
      inset: auto 1rem 1rem auto !important; color-scheme: light dark !important;
    }
    :host([data-position="left"]) { inset: auto auto 1rem 1rem !important; }
    button {
      display: block; margin-inline-start: auto; padding: .8rem 1.3rem; border: 2px solid #fff; border-radius: 2rem;
      background: #1d4ed8; color: #fff; font: 600 16px/1.2 system-ui, sans-serif; cursor: pointer;
      box-shadow: 0 2px 10px #0005;
    }
    :host([data-position="left"]) button { margin-inline: 0 auto; }
    button:focus-visible { outline: 3px solid #1d4ed8; outline-offset: 2px; }
    iframe {
      display: block; box-sizing: border-box; width: min(24rem, calc(100vw - 2rem));
      height: min(36rem, calc(100vh - 6.5rem)); margin-bottom: .7rem; border: 1px solid #8888; border-radius: 1rem;
      background: Canvas; box-shadow: 0 4px 24px #0005;
    }
    iframe[hidden] { display: none; }
    @media print { :host { display: none !important; } }
  `;
  const script = document.currentScript;
  if (!script) return; // taken for a module, which cannot know its own attributes
  const { workspace, label = "Chat", position, lang } = script.dataset;
  const address = new URL("chat", script.src);
  if (workspace) address.searchParams.set("workspace", workspace);
  if (lang) address.searchParams.set("lang", lang);

  if (document.body) put();
  else addEventListener("DOMContentLoaded", put, { once: true });

  function put() {
    if (document.querySelector(`[${MARK}]`)) return;
    const host = document.createElement("div");
    host.setAttribute(MARK, "");
    host.dataset.position = position === "left" ? "left" : "right";
    const shadow = host.attachShadow({ mode: "open" });
    // Unlike a <style>, this needs no leave from the page's content security policy.
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    shadow.adoptedStyleSheets = [sheet];
    const frame = document.createElement("iframe");
    frame.id = "chat";
    frame.title = label;
    frame.hidden = true;
    frame.referrerPolicy = "no-referrer";
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.setAttribute("aria-controls", "chat");
    shadow.append(frame, button);
    document.body.append(host);
    behave(frame, button);
  }

  function behave(frame, button) {
    const close = () => {
      const hadFocus = frame.getRootNode().activeElement === frame;
      show(false);
      if (hadFocus) button.focus();
    };
    const show = (isOpen) => {
      // Loaded when it is first wanted: until then the page has asked us for nothing but this script.
      if (isOpen && !frame.src) frame.src = address.href;
      frame.hidden = !isOpen;
      button.setAttribute("aria-expanded", String(isOpen));
      remember(isOpen);
    };
    button.addEventListener("click", () => {
      if (!frame.hidden) return close();
      show(true);
      frame.focus();
    });
    const escape = (event) => {
      if (event.key !== "Escape" || frame.hidden) return;
      show(false);
      button.focus();
    };
    button.addEventListener("keydown", escape);
    addEventListener("message", (event) => {
      if (event.source === frame.contentWindow && event.data?.switchboard === "close") close();
    });
    show(remembered());
  }

  // A page whose storage is blocked forgets with each load whether the chat was open.
  function remember(isOpen) {
    try {
      sessionStorage.setItem(OPEN, isOpen ? "1" : "");
    } catch {
      return;
    }
  }

  function remembered() {
    try {
      return sessionStorage.getItem(OPEN) === "1";
    } catch {
      return false;
    }
  }
})();
