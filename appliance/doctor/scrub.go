package doctor

import (
	"bytes"
	"regexp"
)

// secrets are what must not leave the machine, by how it looks; what the first group
// matches stays. The support bundle takes up no file that holds secrets: this is
// for what a log line, a variable or an error quotes.
var secrets = []*regexp.Regexp{
	regexp.MustCompile(`()-----BEGIN [A-Z0-9 ]*(?:PRIVATE KEY|CERTIFICATE)-----(?s:.*?)(?:-----END [A-Z0-9 ]*-----|\z)`),
	regexp.MustCompile(`()\bsk-[A-Za-z0-9_-]{8,}`),
	regexp.MustCompile(`(?i)(\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}`),
	regexp.MustCompile(`(?i)([a-z][a-z0-9+.-]*://)[^/\s"'@]+@`),
	// An invitation: groups of five characters of Crockford's alphabet.
	regexp.MustCompile(`(?i)()\b[0-9A-HJKMNP-TV-Z]{5}(?:-[0-9A-HJKMNP-TV-Z]{1,5}){5,}\b`),
	regexp.MustCompile(`(?i)(\b[\w.-]*(?:api[_-]?key|secret|passwd|password|token|private[_-]?key|ticket|authorization|cookie)\b["']?\s*[:=]\s*)(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s",}'&;]+)`),
}

var removed = []byte("[removed]")

// scrub returns text without secrets.
func scrub(text []byte) []byte {
	for _, s := range secrets {
		text = s.ReplaceAll(text, append([]byte("${1}"), removed...))
	}
	return bytes.ToValidUTF8(text, []byte("?"))
}
