package fields

import "slices"

// These are of routes of llama.cpp's server.

// Infill is of /infill.
var Infill = table("InfillRequest", "/infill",
	except(openAI, "n", "n_cmpl", "stream_options", "stream_options.include_usage", "stream_options.include_obfuscation", "stream_options.continuous_usage_stats"),
	checked("n", "2", "n_cmpl", "2"),
	with(`"stream": true`, harmless("the last event has the counts", "stream_options", `{"include_usage":true}`)),
	done("input_prefix", `"else"`, "input_suffix", `"else"`, "prompt", `"else"`),
	refused("put it before input_prefix", "input_extra", `[{"filename":"a","text":"b"}]`),
	refused(toolsInChat, "tools", `[{"type":"function","function":{"name":"f"}}]`),
)

// Tokenize is of /tokenize, and of vLLM's route of that name for a prompt.
var Tokenize = table("TokenizeRequest", "/tokenize",
	done("content", `"else"`, "prompt", `"else"`, "add_special", "true", "parse_special", "false", "with_pieces", "true", "model", `"other"`),
	refused("send the text, or the chat to /apply-template first", "messages", `[{"role":"user","content":"x"}]`),
)

// Detokenize is of /detokenize.
var Detokenize = table("DetokenizeRequest", "/detokenize", done("tokens", "[100, 101]", "model", `"other"`))

// ApplyTemplate is of /apply-template.
var ApplyTemplate = table("ApplyTemplateRequest", "/apply-template",
	done("model", `"other"`, "messages", `[{"role":"user","content":"else"}]`),
	with(toolWith, done("tools", `[{"type":"function","function":{"name":"g"}}]`)),
	with(`"messages": [{"role": "assistant", "content": "x"}]`, done("continue_final_message", "false", "add_generation_prompt", "true")),
	done("chat_template_kwargs", `{"enable_thinking":false}`, "reasoning_effort", `"high"`, "think", "true"),
)

// except is fields without those of these names.
func except(all []Field, names ...string) []Field {
	return slices.DeleteFunc(slices.Clone(all), func(f Field) bool { return slices.Contains(names, f.Name) })
}
