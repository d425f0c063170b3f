package fields

import "slices"

const inText = "put what the model is to know of its purpose into the text"

// embedding are the fields of other servers' embeddings that OpenAI's shape is sent with.
var embedding = slices.Concat(
	refused(inText, "input_type", `"query"`, "task", `"search"`, "task_type", `"search"`, "prompt_name", `"query"`, "prompt", `"x"`),
	unless([]string{"true"}, checked("normalize", "false", "add_special_tokens", "false")),
	unless([]string{"2"}, refused("vectors have length 1: leave it out", "embd_normalize", "1")),
	unless([]string{"-1"}, refused("set truncate", "truncate_prompt_tokens", "10")),
	unless([]string{`"mean"`}, refused("vectors are means: leave it out", "pooling", `"cls"`)),
	refused("send text, or token ids", "messages", `[{"role":"user","content":"x"}]`),
	refused("set encoding_format", "embed_dtype", `"float16"`, "endianness", `"big"`),
)

// Embeddings is of /v1/embeddings.
var Embeddings = table("EmbeddingsRequest", "/v1/embeddings",
	done("model", `"other"`, "input", `"else"`, "dimensions", "2", "encoding_format", `"base64"`),
	with(`"input": "`+tooLongText+`"`, done("truncate", "true")),
	harmless("clients are told apart by their keys and addresses", "user", `"somebody"`),
	harmless("requests are served in turn among clients", "priority", "1"),
	harmless("every answer has an id of its own, in X-Request-Id", "request_id", `"x"`),
	embedding,
)

// ofVector are options of Ollama's that say nothing of a vector.
var ofVector = slices.Concat(
	harmless("nothing is sampled, and the context is the daemon's", "options", `{"temperature":0.5}`),
	done("model", `"other"`, "keep_alive", `"1h"`),
)

// Embed is of /api/embed.
var Embed = table("EmbedRequest", "/api/embed", ofVector,
	done("input", `"else"`, "truncate", "false", "dimensions", "2"),
	refused("send input", "prompt", `"x"`),
)

// OldEmbed is of /api/embeddings.
var OldEmbed = table("OldEmbedRequest", "/api/embeddings", ofVector,
	done("prompt", `"else"`, "truncate", "false", "dimensions", "2"),
	refused("send prompt, or the request to /api/embed", "input", `"x"`),
)
