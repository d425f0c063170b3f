package fields

import (
	"slices"
	"strings"
)

// Responses is of /v1/responses.
var Responses = table("ResponseRequest", "/v1/responses",
	done("model", `"other"`, "input", `"else"`, "instructions", `"be brief"`, "max_output_tokens", "3", "temperature", "0.5", "top_p", "0.5", "stream", "true", "store", "false",
		"previous_response_id", `"resp_remembered_a0"`),
	with(strings.Replace(tooManyMessages, `"messages"`, `"input"`, 1), done("truncation", `"auto"`)),
	with(`"input": [{"role": "user", "content": "x"}]`, slices.Concat(done("input[].role", `"developer"`, "input[].content", `"else"`), checked("input[].type", `"item_reference"`),
		harmless("items are known by their place", "input[].id", `"x"`, "input[].status", `"completed"`, "input[].phase", `"x"`))),
	with(`"input": [{"role": "user", "content": [{"type": "input_text", "text": "x"}]}]`, slices.Concat(
		done("input[].content[].text", `"else"`), checked("input[].content[].type", `"input_file"`),
		harmless("it is of replies", "input[].content[].annotations", `[{"a":1}]`, "input[].content[].logprobs", `[{"a":1}]`))),
	with(`"input": [{"role": "assistant", "content": [{"type": "refusal", "refusal": "x"}]}, {"role": "user", "content": "x"}]`, done("input[].content[].refusal", `"no"`)),
	with(`"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "`+picture+`"}]}]`, slices.Concat(
		done("input[].content[].image_url", `"`+otherPicture+`"`), harmless(pictureSize, "input[].content[].detail", `"low"`),
		refused("no files are kept here: send the image as image_url", "input[].content[].file_id", `"file-x"`))),
	with(`"input": [{"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}]`, done("input[].call_id", `"b"`, "input[].name", `"g"`, "input[].arguments", `"{\"a\":1}"`)),
	with(`"input": [{"type": "function_call_output", "call_id": "a", "output": "x"}]`, done("input[].output", `"else"`)),
	with(`"input": [{"type": "reasoning"}, {"role": "user", "content": "x"}]`, harmless("earlier thoughts are not shown to the model", "input[].summary", `[{"a":1}]`, "input[].encrypted_content", `"x"`)),
	with(responseToolWith, done("tools", `[{"type":"function","name":"g"}]`, "tool_choice", `"none"`, "parallel_tool_calls", "false",
		"tools[].name", `"g"`, "tools[].description", `"what it does"`, "tools[].parameters", `{"type":"object","properties":{"a":{"type":"string"}}}`, "tools[].strict", "true")),
	with(responseToolWith, checked("tools[].type", `"web_search"`)),
	done("text", `{"format":{"type":"json_object"}}`, "text.format", `{"type":"json_object"}`),
	below("text.format", slices.Concat(
		with(`"text": {"format": {"type": "text"}}`, done("type", `"json_object"`)),
		with(`"text": {"format": {"type": "json_schema", "schema": {"type": "object"}}}`, slices.Concat(done("schema", `{"type":"object","properties":{"a":{"type":"string"}}}`, "strict", "false"),
			harmless("the model is not told the schema's name and purpose: the schema binds it", "name", `"x"`, "description", `"x"`))))),
	unless([]string{`"medium"`}, refused("ask for it in a message", "text.verbosity", `"low"`)),
	done("reasoning", `{"effort":"high"}`, "reasoning.effort", `"high"`),
	harmless("thoughts are told as they are", "reasoning.summary", `"auto"`, "reasoning.generate_summary", `"auto"`),
	harmless("what there is of it is in every reply", "include", `["reasoning.encrypted_content"]`),
	with(`"stream": true`, harmless("the stream is not padded", "stream_options", `{"include_obfuscation":true}`)),
	harmless("the client makes the calls", "max_tool_calls", "3"),
	harmless("clients are told apart by their keys and addresses", "user", `"somebody"`, "safety_identifier", `"x"`),
	harmless(kept, "metadata", `{"a":"b"}`),
	harmless("there is one tier", "service_tier", `"auto"`),
	harmless(byText, "prompt_cache_key", `"x"`, "prompt_cache_retention", `"24h"`),
	unless([]string{"0"}, refused("ask /v1/chat/completions for log probabilities", "top_logprobs", "2")),
	refused("ask with a stream, or follow the session that X-Skerry-Session names", "background", "true"),
	refused("name the response before as previous_response_id", "conversation", `"x"`),
	refused("send the text as input", "prompt", `{"id":"x"}`),
	own,
)

const responseToolWith = `"tools": [{"type": "function", "name": "f"}]`
