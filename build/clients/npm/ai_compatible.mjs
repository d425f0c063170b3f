import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { runSDK } from "./ai_sdk.mjs";
import { KEY, MODEL, V1 } from "./tasks.mjs";

const provider = createOpenAICompatible({ name: "skerry", baseURL: V1, apiKey: KEY, supportsStructuredOutputs: true });
await runSDK(provider(MODEL), provider.textEmbeddingModel(MODEL));
