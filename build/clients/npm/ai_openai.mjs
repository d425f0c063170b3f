import { createOpenAI } from "@ai-sdk/openai";
import { runSDK } from "./ai_sdk.mjs";
import { KEY, MODEL, V1 } from "./tasks.mjs";

const provider = createOpenAI({ baseURL: V1, apiKey: KEY });
await runSDK(provider(MODEL), provider.textEmbeddingModel(MODEL));
