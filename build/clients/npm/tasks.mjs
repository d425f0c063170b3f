// What the scripts of npm's clients share; see python/tasks.py, which says the same.
export const [BASE, MODEL, ...WANTED] = process.argv.slice(2);
export const V1 = BASE + "/v1";
export const KEY = "none";
export const QUESTION = "Write a Go function that adds two integers. Only the code.";
export const CITY = "What is the weather in Oslo? Use the tool.";
export const SCHEMA = {
  type: "object",
  properties: { name: { type: "string", enum: ["Oslo", "Bergen"] }, inhabitants: { type: "integer" } },
  required: ["name", "inhabitants"],
  additionalProperties: false,
};
export const PARAMETERS = { type: "object", properties: { city: { type: "string", enum: ["Oslo", "Bergen"] } }, required: ["city"], additionalProperties: false };
export const TOOL = { type: "function", function: { name: "get_weather", description: "The weather in a city.", parameters: PARAMETERS } };
export const TEXTS = ["The lighthouse warns ships at night.", "A lighthouse guides boats in the dark.", "Add two eggs and a cup of sugar to the dough."];

export function check(ok, ...what) {
  if (!ok) throw new Error(what.map((w) => (typeof w === "string" ? w : JSON.stringify(w))).join(" "));
}
export function says(text) {
  check(typeof text === "string" && text.trim(), "nothing was said:", text ?? null);
}
export function streams(pieces) {
  const some = pieces.filter(Boolean);
  check(some.length > 1, "no stream:", some);
  says(some.join(""));
}
export function isCity(obj) {
  check(["Oslo", "Bergen"].includes(obj.name) && Number.isInteger(obj.inhabitants), obj);
}
export function calls(name, args) {
  check(name === "get_weather" && ["Oslo", "Bergen"].includes(args.city), name, args);
}
export function alike(vectors) {
  const like = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
  check(vectors.length === TEXTS.length && vectors.every((v) => Math.abs(like(v, v) - 1) < 1e-3), "the vectors are wrong");
  check(like(vectors[0], vectors[1]) > like(vectors[0], vectors[2]), "what is alike is not near");
}
export async function all(stream, piece) {
  const pieces = [];
  for await (const one of stream) pieces.push(piece(one));
  return pieces;
}
export async function run(tasks) {
  let failed = 0;
  for (const name of WANTED) {
    if (typeof tasks[name] !== "function") {
      console.log(`none ${name}: ${tasks[name] ?? "the client has none"}`);
      continue;
    }
    const began = Date.now();
    try {
      await tasks[name]();
      console.log(`ok ${name} ${((Date.now() - began) / 1000).toFixed(1)} s`);
    } catch (err) {
      failed = 1;
      console.log(`FAILED ${name}: ${err.name}: ${String(err.message).split(/\s+/).join(" ").slice(0, 600)}`);
    }
  }
  process.exit(failed);
}
