// Package chat is what lies between a conversation and the tokens of a model: its
// own chat template rendered into a prompt (template.go, parts.go), JSON schemas and
// tools as a grammar the sampler keeps to (grammar.go and what is named schema*.go),
// and the answer's text taken apart again into words and tool calls (parser.go) up
// to a stop string (stops.go). It computes nothing and holds no goroutine.
package chat
