// Package equal holds the modes whose text does not depend on drafts against the whole model
// alone, token by token: many prompts, greedy, sampled and under a JSON schema, over a link with
// delay and loss. It is all tests; make equal runs it at length and goes on where it was stopped.
package equal
