package fields

import "slices"

// Reasons that several fields share.
const (
	ofMachine   = "what computes, and with how many threads, is the daemon's configuration"
	kept        = "nothing is stored or counted by it here"
	alwaysDone  = "this is done in any case"
	stateful    = "its state depends on more than seed and text, and an answer here is the same whenever both are: leave it out, and use temperature, top_p or min_p"
	tokenized   = "log probabilities come with logprobs and top_logprobs"
	bindsBy     = "send a JSON schema as "
	noLoRA      = "adapters are not loaded here: merge one into the model's GGUF before it is prepared"
	noTemplate  = "the model's own template is used; to use another, send the whole prompt to /v1/completions"
	byText      = "prompts are kept by their text"
	toolsInChat = "call tools in a chat"
)

// sampling are the fields of how tokens are chosen that OpenAI, llama.cpp and vLLM have
// outside of any object.
var sampling = slices.Concat(
	done("temperature", "0.5", "top_p", "0.5", "seed", "7", "stop", `["by"]`, "frequency_penalty", "0.5", "presence_penalty", "0.5",
		"top_k", "5", "min_p", "0.25", "repeat_penalty", "1.5"),
	done("repetition_penalty", "1.2", "typical_p", "0.5", "top_n_sigma", "1", "dry_multiplier", "0.8", "dynatemp_range", "0.5", "min_keep", "2",
		"logit_bias", `{"5": 10}`, "min_tokens", "3", "ignore_eos", "true"),
	with(`"repeat_penalty": 1.5`, done("repeat_last_n", "32")),
	done("xtc_probability", "0.5"), with(`"xtc_probability": 0.5`, done("xtc_threshold", "0.2")),
	with(`"dry_multiplier": 0.8`, done("dry_base", "2.5", "dry_allowed_length", "3", "dry_penalty_last_n", "64", "dry_sequence_breakers", `["x"]`)),
	with(`"dynatemp_range": 0.5`, done("dynatemp_exponent", "2.0")),
	unless([]string{"0"}, refused(stateful, "mirostat", "2")),
	harmless("it belongs to mirostat, which is off", "mirostat_tau", "5.0", "mirostat_eta", "0.1"),
	unless([]string{"1"}, refused("use top_p or min_p", "tfs_z", "0.5")),
	refused("the order of the filters is fixed: penalties, dry, top_n_sigma, top_k, typical_p, top_p, min_p, xtc, temperature", "samplers", `["top_k"]`),
	refused("use stop, with the token's text", "stop_token_ids", "[5]", "include_stop_str_in_output", "true"),
	refused("use logit_bias", "allowed_token_ids", "[5]", "bad_words", `["x"]`),
	refused("use the fields of sampling that are here", "logits_processors", `["x"]`),
	refused("answers are sampled: leave it out", "use_beam_search", "true"),
	unless([]string{"1"}, refused("it is of beam search: leave it out", "length_penalty", "0.5")),
	harmless("it is the token for newlines that penalties may leave alone; they never treat it apart", "penalize_nl", "true"),
)

// extensions are the other fields of llama.cpp and vLLM.
var extensions = slices.Concat(
	harmless(alwaysDone, "cache_prompt", "true", "skip_special_tokens", "true", "spaces_between_special_tokens", "true", "add_special_tokens", "true"),
	harmless("prompts are kept by their text, whichever slot computes them", "id_slot", "1", "slot_id", "1", "cache_salt", `"x"`, "n_cache_reuse", "1"),
	harmless("a prompt that does not fit is an error, and an answer ends at the end of the context", "n_keep", "4", "n_discard", "4"),
	harmless("requests are served in turn among clients", "priority", "1"),
	harmless("every answer has an id of its own, in X-Request-Id", "request_id", `"x"`),
	harmless("timings are in the status and in Ollama's replies", "timings_per_token", "true"),
	harmless("it is of a way to split the work that is not used here", "kv_transfer_params", `{"a":1}`),
	harmless("it is of vLLM's own engine", "vllm_xargs", `{"a":1}`, "guided_decoding_backend", `"x"`, "guided_whitespace_pattern", `"x"`, "mm_processor_kwargs", `{"a":1}`),
	refused(tokenized, "n_probs", "3", "post_sampling_probs", "true", "prompt_logprobs", "1", "return_tokens", "true", "return_tokens_as_token_ids", "true", "return_token_ids", "true"),
	unless([]string{"-1"}, refused("shorten the prompt", "truncate_prompt_tokens", "10")),
	unless([]string{"0"}, refused("end the request instead", "t_max_predict_ms", "10", "t_max_prompt_ms", "10", "n_indent", "2")),
	refused(noLoRA, "lora", `[{"id":0,"scale":1}]`),
	refused("the whole reply is sent", "response_fields", `["content"]`),
	refused("send images in the messages of a chat, as image_url", "image_data", `[{"id":1}]`, "multi_modal_data", `{"a":1}`),
)

// unstructured are the fields that bind an answer and that no route has, with what there is
// instead.
func unstructured(instead string) []Field {
	return slices.Concat(
		refused(bindsBy+instead, "schema", `{"type":"object"}`, "response_schema", `{"type":"object"}`,
			"guided_regex", `"[0-9]+"`, "structural_tag", `{"x":1}`, "regex", `"a"`, "ebnf", `"a"`),
		refused("the grammar is in force from the first token on", "grammar_lazy", "true", "grammar_triggers", `[{"type":1}]`),
		harmless("control tokens that a grammar names are kept in any case", "preserved_tokens", `["x"]`),
	)
}

// byGrammar are the fields that bind an answer otherwise than by a schema.
var byGrammar = []string{"grammar", "\"root ::= [0-9]\"", "guided_grammar", "\"root ::= [0-9]\"", "guided_choice", `["a","b"]`, "structured_outputs", `{"json":{"type":"object"}}`}

// own is this server's field.
var own = done("skerry", `{"session":"s"}`, "skerry.session", `"s"`, "skerry.mode", `"standalone"`, "skerry.after", `-1`, "skerry.draft", `"off"`)

// calling are the tools of a chat, and the choice among them.
var calling = slices.Concat(
	with(toolWith, done("tools", `[{"type":"function","function":{"name":"g"}}]`, "tool_choice", `"none"`,
		"tools[].function", `{"name":"g"}`, "tools[].function.name", `"g"`, "tools[].function.description", `"what it does"`,
		"tools[].function.parameters", `{"type":"object","properties":{"a":{"type":"string"}}}`, "tools[].function.strict", "true")),
	with(toolWith, unless([]string{`"function"`}, checked("tools[].type", `"custom"`))),
	with(toolWith, harmless(byText, "tools[].cache_control", `{"type":"ephemeral"}`)),
)

const toolWith = `"tools": [{"type": "function", "function": {"name": "f"}}]`
