// The page: what is typed goes to the conversation, what happens there is shown by the view.

import { Conversation } from "./conversation.js";
import { Keep } from "./keep.js";
import { View } from "./view.js";
import { choose } from "./words.js";

const asked = new URL(location.href).searchParams;
const workspace = asked.get("workspace");
const { language, words } = choose([asked.get("lang"), ...navigator.languages]);
const view = new View(document, words, language);
const conversation = new Conversation({
  keep: new Keep(workspace),
  view,
  workspace: workspace ? Number(workspace) : undefined,
  locale: navigator.language,
});
const embedded = parent !== window;

view.on({
  typed: () => conversation.prepare(),
  said: (text) => conversation.say(text),
  retry: () => conversation.retry(),
  anew: () => {
    conversation.startAnew();
    view.focus();
  },
  fresh: (message) => conversation.lookAt(message),
});

// The page around us knows neither our keys nor our focus. What it is told is no secret.
addEventListener("keydown", (event) => {
  if (embedded && event.key === "Escape" && !event.isComposing) parent.postMessage({ switchboard: "close" }, "*");
});
addEventListener("focus", () => {
  if (embedded && document.activeElement === document.body) view.focus();
});
if (!embedded || document.hasFocus()) view.focus();

conversation.open();
