// The AI SDK over two of its providers, which speak to this server in ways of their own.
import { embedMany, generateObject, generateText, jsonSchema, streamText, tool } from "ai";
import { all, alike, calls, CITY, isCity, PARAMETERS, QUESTION, run, says, SCHEMA, streams, TEXTS } from "./tasks.mjs";

export async function runSDK(model, embedder) {
  const common = { model, temperature: 0, maxOutputTokens: 100, maxRetries: 0 };
  await run({
    chat: async () => says((await generateText({ ...common, prompt: QUESTION })).text),
    stream: async () => streams(await all(streamText({ ...common, prompt: QUESTION }).textStream, (p) => p)),
    tool: async () => {
      const tools = { get_weather: tool({ description: "The weather in a city.", inputSchema: jsonSchema(PARAMETERS) }) };
      const reply = await generateText({ ...common, prompt: CITY, tools, toolChoice: "required" });
      calls(reply.toolCalls[0].toolName, reply.toolCalls[0].input);
    },
    structured: async () => isCity((await generateObject({ ...common, prompt: "Describe Oslo.", schema: jsonSchema(SCHEMA) })).object),
    embed: async () => alike((await embedMany({ model: embedder, values: TEXTS, maxRetries: 0 })).embeddings),
  });
}
