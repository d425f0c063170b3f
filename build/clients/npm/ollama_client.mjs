import { Ollama } from "ollama";
import { all, alike, BASE, calls, check, CITY, isCity, MODEL, QUESTION, run, says, SCHEMA, streams, TEXTS, TOOL } from "./tasks.mjs";

const client = new Ollama({ host: BASE });
const ask = (extra = {}) => client.chat({ model: MODEL, messages: [{ role: "user", content: QUESTION }], options: { num_predict: 24, temperature: 0 }, ...extra });

await run({
  list: async () => check((await client.list()).models.some((m) => m.model === MODEL + ":latest"), "the model is not listed"),
  chat: async () => says((await ask()).message.content),
  stream: async () => streams(await all(await ask({ stream: true }), (p) => p.message.content)),
  tool: async () => {
    const reply = await ask({ messages: [{ role: "user", content: CITY }], tools: [TOOL], options: { num_predict: 100, temperature: 0, tool_choice: "required" } });
    const call = reply.message.tool_calls[0].function;
    calls(call.name, call.arguments);
  },
  structured: async () => isCity(JSON.parse((await ask({ format: SCHEMA, options: { num_predict: 100 } })).message.content)),
  embed: async () => alike((await client.embed({ model: MODEL, input: TEXTS })).embeddings),
});
