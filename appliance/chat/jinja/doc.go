// Package jinja renders chat templates as Jinja2 3.1 does in the environment that
// Hugging Face's transformers give them: ImmutableSandboxedEnvironment with trim_blocks
// and lstrip_blocks, the loopcontrols extension, the generation tag, tojson as
// json.dumps, raise_exception and strftime_now. It stands in for a Jinja engine of the
// module proxy: of those that are there, none renders as Jinja2 does, none limits what
// a template from anywhere may use up, and none knows whose words a text holds.
//
// A template reaches nothing but the values it is given. What it may build, write and
// take is limited (limits.go). Texts carry which of their bytes are words of others
// (text.go), through every operation, so that words in messages are never mistaken for
// the template's control tokens.
//
// The way of a template: lex.go makes tokens of the source, parse.go and parseexpr.go
// make a tree, exec.go runs its statements and eval.go its expressions. Values are
// described in value.go.
package jinja
