package fields

import (
	"slices"
	"strings"
)

// ollama are the fields that generate and chat share.
var ollama = slices.Concat(
	done("model", `"other"`, "stream", "true", "format", `"json"`, "keep_alive", `"1h"`, "logprobs", "true"),
	with(`"logprobs": true`, done("top_logprobs", "2")),
	done("options", `{"seed":7}`),
	below("options", options),
	done("think", "true"),
	refused("an answer ends at the end of the context: raise num_ctx", "shift", "true"),
	unstructured("format"), refused(bindsBy+"format", byGrammar...),
	refused(bindsBy+"format", "response_format", `{"type":"json_object"}`, "json_schema", `{"type":"object"}`, "guided_json", `{"type":"object"}`),
	own,
)

// options of Ollama.
var options = slices.Concat(
	done("num_ctx", "2048", "num_predict", "3", "seed", "7", "temperature", "0.5", "top_k", "5", "top_p", "0.5", "min_p", "0.25", "stop", `["by"]`,
		"presence_penalty", "0.5", "frequency_penalty", "0.5", "repeat_penalty", "1.5"),
	with(`"options": {"repeat_penalty": 1.5}`, done("repeat_last_n", "32")),
	done("typical_p", "0.5"),
	unless([]string{"0"}, refused(stateful, "mirostat", "2")),
	harmless("it belongs to mirostat, which is off", "mirostat_tau", "5.0", "mirostat_eta", "0.1"),
	unless([]string{"1"}, refused("use top_p or min_p", "tfs_z", "0.5")),
	harmless("penalties never treat newlines apart", "penalize_newline", "true"),
	harmless(ofMachine, "num_batch", "512", "num_gpu", "99", "main_gpu", "1", "use_mmap", "true", "use_mlock", "true", "num_thread", "8", "numa", "true",
		"low_vram", "true", "f16_kv", "true", "vocab_only", "true", "num_gqa", "8", "gpu_layers", "1"),
	harmless("a prompt that does not fit is an error, and an answer ends at the end of the context", "num_keep", "4"),
	harmless("log probabilities come with logprobs", "logits_all", "true"),
	harmless("the model says how positions are embedded", "rope_frequency_base", "10000.0", "rope_frequency_scale", "1.0"),
	refused("embeddings are made by /api/embed", "embedding_only", "true"),
)

// Generate is of /api/generate.
var Generate = table("GenerateRequest", "/api/generate", ollama,
	with(tooLong, done("truncate", "true")),
	done("prompt", `"else"`, "system", `"be brief"`, "raw", "true", "suffix", `"end"`),
	refused("the model's own is used; to use another, send the whole prompt with raw set to true", "template", `"x"`),
	refused("send the conversation to /api/chat", "context", "[1]"),
	done("images", `["`+bare(picture)+`"]`),
	unless([]string{`"none"`, `"auto"`}, refused(toolsInChat, "tools", `[{"type":"function","function":{"name":"f"}}]`, "tool_choice", `"required"`, "functions", `[{"name":"f"}]`, "options.tool_choice", `"required"`)),
	refused("this server makes no images", "width", "64", "height", "64", "steps", "4"),
)

// OllamaChat is of /api/chat.
var OllamaChat = table("OllamaChatRequest", "/api/chat", ollama,
	with(tooManyMessages, done("truncate", "true")),
	done("messages", `[{"role":"user","content":"else"}]`, "messages[].role", `"system"`, "messages[].content", `"else"`),
	with(`"messages": [{"role": "tool", "content": "x"}]`, done("messages[].tool_name", `"f"`, "messages[].tool_call_id", `"c2"`)),
	with(`"messages": [{"role": "assistant", "content": "x"}, {"role": "user", "content": "y"}]`, done("messages[].tool_calls", `[{"function":{"name":"f","arguments":{}}}]`)),
	harmless("earlier thoughts are not shown to the model", "messages[].thinking", `"x"`),
	calling, with(toolWith, done("options.tool_choice", `"none"`)),
	done("messages[].images", `["`+bare(picture)+`"]`),
	refused("it belongs to an older API: send tools", "functions", `[{"name":"a"}]`),
)

// Requests that fit into no context of the examples.
var (
	tooLongText     = strings.Repeat("too long ", 3000)
	tooLong         = `"prompt": "` + tooLongText + `"`
	tooManyMessages = `"messages": [` + strings.Repeat(`{"role": "user", "content": "`+strings.Repeat("too long ", 300)+`"}, `, 10) + `{"role": "user", "content": "x"}]`
)
