package fields

import "slices"

// messagesAPI are the fields of /v1/messages that count towards its prompt.
var messagesAPI = slices.Concat(
	done("model", `"other"`, "messages", `[{"role":"user","content":"else"}]`, "messages[].role", `"assistant"`, "messages[].content", `"else"`),
	with(`"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]`, slices.Concat(
		done("messages[].content[].text", `"else"`), checked("messages[].content[].type", `"document"`),
		harmless(byText, "messages[].content[].cache_control", `{"type":"ephemeral"}`), harmless("nothing is cited", "messages[].content[].citations", `[{"a":1}]`))),
	with(`"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]}]`,
		done("messages[].content[].id", `"b"`, "messages[].content[].name", `"g"`, "messages[].content[].input", `{"a":1}`)),
	with(`"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "x"}]}]`,
		done("messages[].content[].tool_use_id", `"b"`, "messages[].content[].content", `"else"`, "messages[].content[].is_error", "true")),
	with(`"messages": [{"role": "assistant", "content": [{"type": "thinking"}, {"type": "text", "text": "x"}]}]`,
		harmless("earlier thoughts are not shown to the model", "messages[].content[].thinking", `"x"`, "messages[].content[].signature", `"x"`, "messages[].content[].data", `"x"`)),
	with(`"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]`,
		harmless("a block of text has none", "messages[].content[].title", `"x"`, "messages[].content[].context", `"x"`)),
	with(`"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "data": "`+bare(picture)+`"}}]}]`, slices.Concat(
		done("messages[].content[].source", `{"type":"base64","data":"`+bare(otherPicture)+`"}`, "messages[].content[].source.data", `"`+bare(otherPicture)+`"`),
		checked("messages[].content[].source.type", `"file"`), harmless("an image says itself what it is", "messages[].content[].source.media_type", `"image/png"`))),
	with(`"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "`+picture+`"}}]}]`, done("messages[].content[].source.url", `"`+otherPicture+`"`)),
	done("system", `"be brief"`),
	with(messagesTool, done("tools", `[{"name":"g","input_schema":{"type":"object"}}]`, "tool_choice", `{"type":"any"}`,
		"tools[].name", `"g"`, "tools[].description", `"what it does"`, "tools[].input_schema", `{"type":"object","properties":{"a":{"type":"string"}}}`, "tools[].strict", "true")),
	with(messagesTool, unless([]string{`"custom"`}, checked("tools[].type", `"web_search_20250305"`))),
	with(messagesTool, harmless(byText, "tools[].cache_control", `{"type":"ephemeral"}`)),
	with(messagesTool, harmless("arguments come as they are made", "tools[].eager_input_streaming", "true")),
	with(messagesTool+`, "tool_choice": {"type": "auto"}`, done("tool_choice.type", `"any"`, "tool_choice.disable_parallel_tool_use", "true")),
	with(messagesTool+`, "tool_choice": {"type": "tool", "name": "f"}`, checked("tool_choice.name", `"g"`)),
	done("thinking", `{"type":"disabled"}`), with(`"thinking": {"type": "enabled"}`, slices.Concat(done("thinking.type", `"disabled"`),
		harmless("the model thinks as long as it does, within max_tokens", "thinking.budget_tokens", "1024"), harmless("thoughts are told as they are", "thinking.display", `"summarized"`))),
	harmless(byText, "cache_control", `{"type":"ephemeral"}`),
	refused("tools of servers elsewhere are not called here: send your own", "mcp_servers", `[{"url":"x"}]`, "container", `"x"`),
	refused("the whole conversation is read: leave out of it what is too much", "context_management", `{"edits":[{"type":"x"}]}`),
	refused("send a JSON schema as response_format to /v1/chat/completions", "output_config", `{"format":{"type":"json_schema"}}`, "output_format", `{"type":"json_schema"}`),
	own,
)

const messagesTool = `"tools": [{"name": "f", "input_schema": {"type": "object"}}]`

// Messages is of /v1/messages.
var Messages = table("MessagesRequest", "/v1/messages", messagesAPI,
	done("max_tokens", "3", "stream", "true", "stop_sequences", `["by"]`, "temperature", "0.5", "top_k", "5", "top_p", "0.5"),
	harmless("clients are told apart by their keys and addresses", "metadata", `{"user_id":"x"}`),
	harmless("there is one tier, here", "service_tier", `"auto"`, "inference_geo", `"eu"`),
)

// CountTokens is of /v1/messages/count_tokens.
var CountTokens = &Table{Schema: "CountTokensRequest", Path: "/v1/messages/count_tokens", Fields: Messages.Fields, below: Messages.below}
