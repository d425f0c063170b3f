// The command promptfoo: an evaluation of one prompt by both APIs.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BASE, check, KEY, MODEL, QUESTION, run, says, V1 } from "./tasks.mjs";

await run({
  chat: async () => {
    const work = mkdtempSync(join(process.env.SKERRY_CLIENTS_WORK ?? "/tmp", "promptfoo-"));
    const config = {
      description: "skerry",
      prompts: [QUESTION],
      providers: [
        { id: "openai:chat:" + MODEL, config: { apiBaseUrl: V1, apiKey: KEY, max_tokens: 24, temperature: 0 } },
        { id: "ollama:chat:" + MODEL, config: { num_predict: 24, temperature: 0 } },
      ],
      tests: [{ assert: [{ type: "javascript", value: "output.length > 0" }] }],
    };
    writeFileSync(join(work, "config.json"), JSON.stringify(config));
    const env = { ...process.env, HOME: work, OLLAMA_BASE_URL: BASE, PROMPTFOO_DISABLE_TELEMETRY: "1", PROMPTFOO_DISABLE_UPDATE: "1", PROMPTFOO_CONFIG_DIR: work };
    const program = join("node_modules", ".bin", "promptfoo");
    try {
      execFileSync(program, ["eval", "--no-cache", "--no-progress-bar", "-c", join(work, "config.json"), "-o", join(work, "out.json")], { env, stdio: "pipe" });
    } catch (err) {
      throw new Error(String(err.stdout) + String(err.stderr));
    }
    const results = JSON.parse(readFileSync(join(work, "out.json"))).results.results;
    check(results.length === 2, results);
    for (const one of results) says(one.response.output);
  },
});
