package fields

import "slices"

// openAI are the fields that chats and completions share.
var openAI = slices.Concat(
	done("model", `"other"`, "stream", "true", "max_tokens", "3"),
	with(`"stream": true`, done("stream_options", `{"include_usage":true}`, "stream_options.include_usage", "true")),
	with(`"stream": true`, done("return_progress", "true")),
	with(`"stream": true`, harmless("the stream is not padded", "stream_options.include_obfuscation", "true")),
	with(`"stream": true`, harmless("the last chunk has the usage", "stream_options.continuous_usage_stats", "true")),
	sampling, extensions, unstructured("response_format"), done(byGrammar...),
	below("structured_outputs", structuredOutputs),
	done("response_format", `{"type":"json_object"}`, "format", `"json"`, "json_schema", `{"type":"object"}`, "guided_json", `{"type":"object"}`),
	responseFormat,
	done("n", "2", "n_cmpl", "2", "n_predict", "3"),
	harmless("clients are told apart by their keys and addresses", "user", `"somebody"`, "safety_identifier", `"x"`),
	harmless(kept, "metadata", `{"a":"b"}`, "store", "true"),
	harmless("there is one tier", "service_tier", `"auto"`),
	own,
)

// Chat is of /v1/chat/completions.
var Chat = table("ChatRequest", "/v1/chat/completions", openAI,
	done("messages", `[{"role":"user","content":"else"}]`, "max_completion_tokens", "3", "logprobs", "true", "parallel_tool_calls", "false"),
	with(`"logprobs": true`, done("top_logprobs", "2")),
	with(`"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]`, slices.Concat(
		done("messages[].content[].text", `"else"`), checked("messages[].content[].type", `"input_audio"`),
		harmless(byText, "messages[].content[].cache_control", `{"type":"ephemeral"}`))),
	with(`"messages": [{"role": "assistant", "content": [{"type": "refusal", "refusal": "x"}]}, {"role": "user", "content": "x"}]`, done("messages[].content[].refusal", `"no"`)),
	with(`"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "`+picture+`"}}]}]`, slices.Concat(
		done("messages[].content[].image_url", `{"url":"`+otherPicture+`"}`, "messages[].content[].image_url.url", `"`+otherPicture+`"`),
		harmless(pictureSize, "messages[].content[].image_url.detail", `"low"`))),
	done("messages[].role", `"system"`, "messages[].content", `"else"`),
	done("messages[].name", `"somebody"`),
	with(`"messages": [{"role": "assistant", "content": "x"}, {"role": "user", "content": "y"}]`, done("messages[].tool_calls", `[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]`)),
	with(`"messages": [{"role": "tool", "tool_call_id": "c1", "content": "x"}]`, done("messages[].tool_call_id", `"c2"`)),
	harmless("earlier thoughts are not shown to the model", "messages[].reasoning_content", `"x"`, "messages[].reasoning", `"x"`, "messages[].thinking", `"x"`),
	harmless("it is of replies", "messages[].annotations", `[{"a":1}]`, "messages[].id", `"x"`),
	harmless(byText, "messages[].cache_control", `{"type":"ephemeral"}`),
	refused("only text is read: send its transcript as content", "messages[].audio", `{"id":"x"}`),
	harmless("send it as content", "messages[].refusal", `"no"`),
	refused("send tool_calls", "messages[].function_call", `{"name":"f"}`),
	calling,
	refused("it belongs to an older API: send tools and tool_choice", "functions", `[{"name":"a"}]`, "function_call", `{"name":"a"}`),
	unless([]string{`["text"]`}, refused("this server answers in text only", "modalities", `["text","audio"]`)),
	refused("this server answers in text only", "audio", `{"voice":"x"}`),
	harmless("what was predicted is looked for in the prompt in any case", "prediction", `{"type":"content","content":"x"}`),
	harmless(byText, "prompt_cache_key", `"x"`, "prompt_cache_retention", `"24h"`),
	done("reasoning_effort", `"high"`, "think", "true", "chat_template_kwargs", `{"enable_thinking":false}`, "reasoning_format", `"none"`, "reasoning_in_content", "true"),
	refused("use reasoning_effort", "reasoning", `{"effort":"high"}`, "thinking", `{"type":"enabled"}`),
	harmless("thoughts are taken apart, unless reasoning_format is none", "include_reasoning", "true", "separate_reasoning", "true"),
	harmless("the prompt says whether the model begins with its thoughts", "thinking_forced_open", "true"),
	refused("ask for it in a message", "verbosity", `"low"`),
	refused("nothing is looked up", "web_search_options", `{"a":1}`),
	refused("put them into a message", "documents", `[{"text":"x"}]`),
	refused(noTemplate, "chat_template", `"x"`),
	with(`"messages": [{"role": "assistant", "content": "x"}]`, done("continue_final_message", "false", "add_generation_prompt", "true")),
	harmless(alwaysDone, "parse_tool_calls", "true"),
	unless([]string{"1", "0"}, refused("answers are not compared here: use n", "best_of", "2")),
	harmless("the model's own way to write calls is used", "chat_format", `"x"`),
	refused("send the text to /v1/completions", "echo", "true"),
)

// Completions is of /v1/completions.
var Completions = table("CompletionRequest", "/v1/completions", openAI,
	done("prompt", `"else"`, "logprobs", "2", "suffix", `"end"`),
	done("echo", "true"), with(`"n": 2`, checked("best_of", "3")),
	unless([]string{`"none"`, `"auto"`}, refused(toolsInChat, "tools", `[{"type":"function","function":{"name":"f"}}]`, "tool_choice", `"required"`, "functions", `[{"name":"f"}]`, "function_call", `{"name":"f"}`)),
	refused("send a prompt", "prompt_embeds", `"x"`, "messages", `[{"role":"user","content":"x"}]`),
	refused("send it in a chat", "chat_template_kwargs", `{"a":1}`, "reasoning_effort", `"high"`),
)

// responseFormat is OpenAI's, with the schema that others put into a json_object.
var responseFormat = below("response_format", slices.Concat(
	with(`"response_format": {"type": "text"}`, done("type", `"json_object"`)),
	with(`"response_format": {"type": "json_object"}`, done("schema", `{"type":"object"}`)),
	with(`"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}`, slices.Concat(
		done("json_schema", `{"schema":{"type":"object","properties":{"a":{"type":"string"}}}}`,
			"json_schema.schema", `{"type":"object","properties":{"a":{"type":"string"}}}`, "json_schema.strict", "false"),
		harmless("the model is not told the schema's name and purpose: the schema binds it", "json_schema.name", `"x"`, "json_schema.description", `"x"`))),
))

// structuredOutputs are vLLM's, one of which binds the answer.
var structuredOutputs = slices.Concat(
	done("json", `{"type":"object"}`, "json_object", "true", "choice", `["a","b"]`, "grammar", "\"root ::= [0-9]\""),
	refused(bindsBy+"json", "regex", `"[0-9]+"`, "structural_tag", `"x"`),
	with(`"structured_outputs": {"json_object": true}`, harmless("it is of vLLM's own engine", "whitespace_pattern", `"x"`, "disable_fallback", "true", "disable_any_whitespace", "true", "disable_additional_properties", "true")),
)
