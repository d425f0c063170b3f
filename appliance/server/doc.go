// Package server is the daemon's core: it loads models as they are asked for, decodes several
// answers at once and implements infer.Backend over them.
//
// An answer is an append-only log of its tokens (tokenlog.go). One goroutine appends
// what a slot decodes (job.go); readers replay the log from any token on, and a slow
// one delays nobody. The answer of a session is written to the Journal token by
// token before anybody sees it, so that after a restart Follow goes on with it
// where the journal ends (follow.go), under the options and the seed written down
// with the question.
//
// What the core needs of the engine, the slots and the database are the small
// interfaces of model.go and journal.go; package main has them filled in.
package server
