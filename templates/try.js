"use strict";
const token = decodeURIComponent(location.hash.replace(/^#token=/, ""));
const thread = document.getElementById("thread");
const form = document.getElementById("ask");
const text = document.getElementById("text");
const problem = document.getElementById("problem");
let conversation = null;

async function post(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.detail || response.statusText);
  return answer;
}

function show(kind, words, note) {
  const item = document.createElement("li");
  item.className = kind;
  item.textContent = words;
  if (note) item.append(Object.assign(document.createElement("small"), { textContent: note }));
  thread.append(item);
  item.scrollIntoView({ block: "nearest" });
}

function describe(reply) {
  const sure = reply.confidence_score === null ? "" : `confidence ${Math.round(reply.confidence_score * 100)} %`;
  return [reply.model, sure, reply.requires_human ? "a person is asked for" : ""].filter(Boolean).join(" · ");
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const words = text.value.trim();
  if (!words) return;
  text.value = "";
  problem.textContent = "";
  show("user", words);
  try {
    conversation ??= (await post("api/conversations", { platform: "web-try", user_id: "you" })).id;
    const said = await post("api/messages", { conversation, content: words });
    if (said.reply) show("bot", said.reply.content, describe(said.reply));
    else show("human", "A person has this conversation now.", "no AI reply comes until they hand it back");
  } catch (error) {
    problem.textContent = token ? error.message : "Open the address that was printed at the start: it carries a token.";
  }
});

for (const idea of document.querySelectorAll(".idea")) {
  idea.addEventListener("click", () => { text.value = idea.textContent; form.requestSubmit(); });
}
