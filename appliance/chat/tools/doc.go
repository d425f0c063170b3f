// Package tools has the forms that an answer may be bound to, and the calls in it: what a
// request wants becomes a grammar (grammar.go), tools are written out for a model whose
// template knows none (describe.go), and the growing text of an answer is taken apart into
// words and calls (parser.go, with call.go for the JSON of a call and fence.go for code
// fences around it). It computes nothing and holds no goroutine.
package tools
