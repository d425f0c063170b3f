package main

import "strings"

// Kinds of clients, by the directory of their scripts.
const (
	python = "python"
	npm    = "npm"
)

// tasks are the columns of the table.
var tasks = []string{"list", "chat", "stream", "tool", "structured", "embed", "edit"}

// client is a program or a library that people use, with a script of ours that uses it.
type client struct {
	name, kind, script string
	// packages are the client's own, with their versions; none where the script sends what a
	// client sends that cannot be had as a package. Where there is a file NAME.txt it pins all
	// that Python's need, and else pip chooses; of npm's needs a date does.
	packages []string
}

// npmBefore is the day before which the packages appeared that those of npm need.
const npmBefore = "2026-11-30"

// title is the client's name with its version.
func (c client) title() string {
	if len(c.packages) == 0 {
		return c.name
	}
	p := c.packages[0]
	return c.name + " " + p[strings.LastIndexAny(p, "=@")+1:]
}

var clients = []client{
	{"openai", python, "openai_client.py", []string{"openai==3.57.0"}},
	{"ollama", python, "ollama_client.py", []string{"ollama==0.6.3"}},
	{"langchain-openai", python, "langchain_openai_client.py", []string{"langchain-openai==1.7.4"}},
	{"langchain-ollama", python, "langchain_ollama_client.py", []string{"langchain-ollama==1.1.0"}},
	{"litellm", python, "litellm_client.py", []string{"litellm==1.110.2"}},
	{"llama-index", python, "llama_index_client.py", []string{"llama-index-llms-openai-like==0.8.1", "llama-index-llms-ollama==0.11.0", "llama-index-embeddings-openai-like==0.4.0", "llama-index-embeddings-ollama==0.10.0"}},
	{"pydantic-ai", python, "pydantic_ai_client.py", []string{"pydantic-ai-slim[openai]==2.68.0"}},
	{"instructor", python, "instructor_client.py", []string{"instructor==1.17.0"}},
	{"openai-agents", python, "openai_agents_client.py", []string{"openai-agents==0.24.0"}},
	{"llm", python, "llm_client.py", []string{"llm==0.36", "llm-ollama==0.19.1"}},
	{"aider", python, "aider_client.py", []string{"aider-chat==0.86.2"}},
	{"home-assistant", python, "home_assistant.py", nil},
	{"openai-js", npm, "openai_client.mjs", []string{"openai@6.49.0"}},
	{"ollama-js", npm, "ollama_client.mjs", []string{"ollama@0.6.4"}},
	{"ai-sdk", npm, "ai_openai.mjs", []string{"ai@6.0.326", "@ai-sdk/openai@3.0.141", "zod@4.6.7"}},
	{"ai-sdk-compatible", npm, "ai_compatible.mjs", []string{"ai@6.0.326", "@ai-sdk/openai-compatible@2.0.92", "zod@4.6.7"}},
	{"promptfoo", npm, "promptfoo_client.mjs", []string{"promptfoo@0.121.20"}},
}
