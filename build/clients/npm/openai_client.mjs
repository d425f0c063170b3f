import OpenAI from "openai";
import { all, alike, calls, check, CITY, isCity, KEY, MODEL, QUESTION, run, says, SCHEMA, streams, TEXTS, TOOL, V1 } from "./tasks.mjs";

const client = new OpenAI({ baseURL: V1, apiKey: KEY, maxRetries: 0, timeout: 300_000 });
const ask = (extra = {}) => client.chat.completions.create({ model: MODEL, messages: [{ role: "user", content: QUESTION }], max_tokens: 24, temperature: 0, ...extra });

await run({
  list: async () => check((await client.models.list()).data.some((m) => m.id === MODEL), "the model is not listed"),
  chat: async () => says((await ask()).choices[0].message.content),
  stream: async () => streams(await all(await ask({ stream: true }), (c) => c.choices[0]?.delta.content)),
  tool: async () => {
    const reply = await ask({ messages: [{ role: "user", content: CITY }], tools: [TOOL], tool_choice: "required", max_tokens: 100 });
    const call = reply.choices[0].message.tool_calls[0].function;
    calls(call.name, JSON.parse(call.arguments));
  },
  structured: async () => {
    const form = { type: "json_schema", json_schema: { name: "city", schema: SCHEMA, strict: true } };
    isCity(JSON.parse((await ask({ response_format: form, max_tokens: 100 })).choices[0].message.content));
  },
  embed: async () => alike((await client.embeddings.create({ model: MODEL, input: TEXTS })).data.map((d) => d.embedding)),
});
