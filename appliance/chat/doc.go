// Package chat is what lies between a conversation and the tokens of a model. Its own two
// files are the ends: tokens.go makes tokens of a rendered prompt, and stops.go ends an
// answer at a stop string. Between them are the packages
//
//   - template: a conversation rendered by the model's chat template, in the language of
//     package jinja;
//   - tools: what an answer has to look like, and the tool calls in it;
//   - grammar: which tokens a grammar allows next, with grammar/schema, which makes
//     grammars of JSON schemas;
//   - orderedjson: JSON that keeps the order of its keys, for all of these.
//
// None of them computes anything or holds a goroutine.
package chat
