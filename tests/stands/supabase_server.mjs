// @supabase/lite over one or more Postgres databases, put right where it differs from the hosted service.
//
// Reads one JSON command per line: {"open": dsn} or {"close": dsn}; answers one JSON line each: {"url"} or {"error"}.
// Ends when its input ends, so it cannot outlive the process that started it.
import { createServer } from "node:http";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { App } from "@supabase/lite";
import { createPostgresConnection } from "@supabase/lite/postgres";
import { getRequestListener } from "@hono/node-server";

const { JWT_SECRET, SERVICE_KEY, ANON_KEY } = process.env;
const open = new Map();
// lite prints every error a statement ends in, which here is mostly what a test is after.
if (!process.env.DEBUG) console.error = () => {};

// PostgREST lets Postgres write and read all JSON; lite writes what the driver reads, and takes bodies and addresses
// apart itself. So: times in ISO 8601, numbers with all their digits, and everything in the types of the catalog.
const iso = (text) => text.replace(" ", "T").replace(/([+-]\d\d)$/, "$1:00");
const digits = (text) => (/^-?[\d.]+$/.test(text) ? JSON.rawJSON(text) : text);
const exact = (text) => (String(Number(text)) === text ? Number(text) : digits(text));
const isUnsafe = (value) => Number.isInteger(value) && !Number.isSafeInteger(value);
const parse = (text) => JSON.parse(text, (_, value, { source }) => (isUnsafe(value) ? JSON.rawJSON(source) : value));
const json = { serialize: (value) => (typeof value === "string" ? value : JSON.stringify(value)), parse };
const types = {
  timestamptz: { to: 1184, from: [1184], serialize: (value) => value, parse: iso },
  timestamp: { to: 1114, from: [1114], serialize: (value) => value, parse: iso },
  json: { to: 114, from: [114], ...json },
  jsonb: { to: 3802, from: [3802], ...json },
  numeric: { to: 1700, from: [1700], serialize: String, parse: exact },
  bool: { to: 16, from: [16], serialize: (value) => String(value), parse: (text) => text === "t" },
  bigint: { to: 20, from: [20], serialize: String, parse: exact },
};

const TYPES = `
  select attname as name, format_type(atttypid, null) as type from pg_attribute
  where attrelid = to_regclass('public.' || quote_ident($1)) and attnum > 0 and not attisdropped
`;
const ARGUMENTS = `
  select proargnames[n] as name, format_type(type, null) as type
  from pg_proc, unnest(proargtypes) with ordinality t(type, n)
  where pronamespace = 'public'::regnamespace and proname = $1
`;
const FIELDS = `
  select row.place::int, field.key, field.value::text as json
  from json_array_elements($1::text::json) with ordinality row(value, place), json_each(row.value) field
`;

async function typesOf(connection, path) {
  const [, first, second] = path.match(/^\/rest\/v1\/(\w+)(?:\/(\w+))?$/) ?? [];
  if (!first) return new Map();
  const rows = await connection.driver.unsafe(first === "rpc" ? ARGUMENTS : TYPES, [first === "rpc" ? second : first]);
  return new Map(rows.map(({ name, type }) => [name, type]));
}

// A field that is to become json is given to lite as its text, a number beyond 2^53 as its digits. In tables lite looks
// into texts for JSON and numbers: there the text is given as JSON once more, and the digits in a list, which it
// leaves alone.
async function typedBody(connection, text, known, isCall) {
  const isList = text.trimStart().startsWith("[");
  const fields = await connection.driver.unsafe(FIELDS, [isList ? text : `[${text}]`]);
  const rows = isList ? JSON.parse(text).map(() => ({})) : [{}];
  for (const { place, key, json: value } of fields) {
    const parsed = JSON.parse(value);
    const isJson = parsed !== null && /^jsonb?$/.test(known.get(key) ?? "");
    if (isJson) rows[place - 1][key] = isCall ? value : JSON.stringify(value);
    else if (isUnsafe(parsed)) rows[place - 1][key] = isCall ? value : [value];
    else rows[place - 1][key] = parsed;
  }
  return JSON.stringify(isList ? rows : rows[0]);
}

// What is compared is a text until Postgres gives it a type: quoted, lite takes it neither for a null nor for a number.
function typedAddress(url, known) {
  for (const [column, filter] of [...url.searchParams]) {
    const [, operator, value] = filter.match(/^(eq|neq|gt|gte|lt|lte)\.(.*)$/s) ?? [];
    if (operator && known.has(column)) url.searchParams.set(column, `${operator}."${value}"`);
  }
  return url;
}

async function typed(connection, request) {
  const url = new URL(request.url);
  const known = await typesOf(connection, url.pathname);
  if (!known.size) return request;
  const body = request.body && (await request.text());
  return new Request(typedAddress(url, known), {
    method: request.method,
    headers: request.headers,
    body: body ? await typedBody(connection, body, known, url.pathname.startsWith("/rest/v1/rpc/")) : undefined,
  });
}

// https://docs.postgrest.org/en/stable/references/errors.html#status-codes, where lite says only SUP.
const status = (code) => {
  if (code === "P0001") return 400;
  if (/^53/.test(code)) return 503;
  if (/^28/.test(code)) return 403;
  return /^(25|2D|38|39|3B|40|54|55|57|58|F0|HV|P0|XX)/.test(code) ? 500 : 400;
};
const understood = /^(PT|PGRST|42|22|21|53|55|23505|23503|23502|25006)/;

function reportErrors(connection) {
  const normalize = connection.normalizeDbError.bind(connection);
  connection.normalizeDbError = (error) => {
    const found = normalize(error);
    const { code, message, detail = null, hint = null } = found ?? {};
    if (typeof code !== "string" || !/^[0-9A-Z]{5}$/.test(code) || understood.test(code)) return found;
    const body = JSON.stringify({ code, message, details: detail, hint });
    return Object.assign(new Error(), {
      code: "PGRST",
      message: body,
      detail: JSON.stringify({ status: status(code), headers: {} }),
    });
  };
}

async function start(dsn) {
  const connection = createPostgresConnection({ url: dsn, postgresOptions: { max: 10, onnotice: () => {}, types } });
  reportErrors(connection);
  const app = new App({
    connection,
    api: { schemas: ["public"], max_rows: 1000, aggregates_enabled: true },
    auth: {
      enabled: true,
      jwt_secret: JWT_SECRET,
      jwt_expiry: 3600,
      enable_signup: true,
      publishable_key: ANON_KEY,
      secret_key: SERVICE_KEY,
      email: { enable_confirmations: false },
    },
  });
  await app.init();
  await app.ensureSystemSchema();
  await connection.driver.listen("pgrst", () => connection.clearSchemaCache());
  const fetch = async (request, environment) =>
    app.fetch(await typed(connection, request), { peerAddress: environment.incoming.socket.remoteAddress ?? null });
  const server = createServer(getRequestListener(fetch));
  server.keepAliveTimeout = 60_000;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  open.set(dsn, { connection, server });
  return { url: `http://127.0.0.1:${server.address().port}` };
}

async function stop(dsn) {
  const { connection, server } = open.get(dsn);
  open.delete(dsn);
  server.closeAllConnections();
  server.close();
  // A statement nobody waits for any more may still run.
  await connection.driver.end({ timeout: 0.1 });
  return {};
}

// A database that goes away under an open connection ends in an error nobody waits for: that is no reason to end here.
process.on("unhandledRejection", () => {});
process.on("uncaughtException", () => {});

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let answer;
  try {
    answer = await (command.open ? start(command.open) : stop(command.close));
  } catch (error) {
    answer = { error: String(error?.stack ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
