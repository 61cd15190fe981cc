// Talking to the service: requests with the visitor's token, and answers that are told as events.

const ROOT = new URL("../", import.meta.url);
// The service shows a sign of life every 15 to 30 seconds. Who hears nothing for longer is listening to a dead line.
const SILENCE = 50_000;

// The service could not be reached, or the line broke.
export class Unreachable extends Error {}

// The service said no: ``status``, and ``seconds`` to wait where it said so.
export class Refused extends Error {
  constructor(problem, status, seconds) {
    super(problem.detail || "");
    this.status = status;
    this.code = problem.code;
    this.seconds = seconds;
  }
}

// Asks for ``path`` below the service's root and returns the response, if it is a good one.
export async function request(path, { token, body, headers = {}, signal } = {}) {
  const options = { headers: { ...headers }, signal, cache: "no-store", credentials: "omit", redirect: "error" };
  if (token) options.headers.authorization = `Bearer ${token}`;
  if (body) {
    options.method = "POST";
    options.headers["content-type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(new URL(path, ROOT), options);
  } catch {
    throw new Unreachable();
  }
  if (response.ok) return response;
  const seconds = Number(response.headers.get("retry-after")) || 0;
  const problem = await response.json().catch(() => ({}));
  throw new Refused(problem, response.status, seconds);
}

export async function read(response) {
  try {
    return await response.json();
  } catch {
    throw new Unreachable();
  }
}

// The events of a response as {id, name, data, retry}, until it ends. Throws `Unreachable` when the line breaks.
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (let piece = await heard(reader); !piece.done; piece = await heard(reader)) {
      text += piece.value;
      const blocks = text.split("\n\n");
      text = blocks.pop();
      for (const block of blocks) yield parse(block);
    }
  } finally {
    reader.cancel().catch(() => {}); // the line may be broken already, which whoever listened has heard
  }
}

async function heard(reader) {
  let timer;
  const silence = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Unreachable()), SILENCE);
  });
  try {
    return await Promise.race([reader.read(), silence]);
  } catch {
    throw new Unreachable();
  } finally {
    clearTimeout(timer);
  }
}

function parse(block) {
  const found = {};
  for (const line of block.split("\n")) {
    const [, field, value] = /^([a-z]+): ?(.*)$/.exec(line) || [];
    if (field === "id") found.id = value;
    else if (field === "event") found.name = value;
    else if (field === "retry") found.retry = Number(value);
    else if (field === "data") found.data = JSON.parse(value);
  }
  return found;
}
