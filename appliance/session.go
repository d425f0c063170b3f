package main

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"skerry/appliance/decode"
	"skerry/appliance/engine"
)

// asked are the messages of a new question, after those the session has.
func (b *boardSide) asked(c *runCmd, question string) []engine.Message {
	if b.journal == nil || len(b.journal.kept.Messages) == 0 {
		return c.messages(question)
	}
	return append(slices.Clip(b.journal.kept.Messages), engine.Message{Role: "user", Content: question})
}

// note writes the question down. What the journal and the cloud have of another
// one is forgotten first, so that the cloud's rows of that are never taken for
// this one's.
func (b *boardSide) note(messages []engine.Message, ids []int32, opt decode.Options) error {
	same, err := b.journal.common(ids)
	if err != nil {
		return err
	}
	var branch uint32
	if b.cloud != nil {
		if branch, err = b.cloud.keep(same); err != nil {
			return err
		}
	}
	return b.journal.begin(messages, ids, same, branch, opt)
}

// cut reports whether the session has an answer that was cut.
func (b *boardSide) cut() bool { return b.journal != nil && b.journal.unfinished() }

// question is the one that was asked last.
func (j *journal) question() string { return j.kept.Messages[len(j.kept.Messages)-1].Content }

// resume goes on with the answer of a session that was cut. The text is that of
// its own options; what to do about the link is as this run says.
func (c *runCmd) resume(ctx context.Context, out *console, b *boardSide, now decode.Options) (decode.Answer, error) {
	ids, opt, err := b.journal.resume()
	if err != nil {
		return decode.Answer{}, err
	}
	if opt.Mode != now.Mode {
		return decode.Answer{}, usageError("session %s has an answer that was cut in mode %s: give --mode %[2]s to have it finished, or begin another session", c.Session, opt.Mode)
	}
	opt.OnLoss, opt.MaxTokenLatency, opt.Eager = now.OnLoss, now.MaxTokenLatency, now.Eager
	if n := len(opt.Said); n > 0 && !c.Events && !c.JSON {
		out.note("(going on after %d tokens)", n)
		out.view.token(decode.Token{Text: b.text(opt.Said)})
	}
	return c.generate(ctx, out, b, ids, opt)
}

// whole is how an answer ended that has all its tokens already, as when the end
// alone was not written down; empty where some are to come.
func (b *boardSide) whole(o decode.Options) decode.Finish {
	n := len(o.Said)
	switch {
	case n > 0 && !o.IgnoreEnd && b.vocab.End(o.Said[n-1]):
		return decode.FinishStop
	case n > 0 && n == o.MaxTokens:
		return decode.FinishLength
	}
	return ""
}

// text of an answer's first tokens up to the last whole character, as it was
// shown; the rest of one that is cut comes with the next token.
func (b *boardSide) text(ids []int32) string {
	var text strings.Builder
	var cut []byte
	for _, id := range ids {
		if b.vocab.End(id) {
			continue
		}
		cut = append(cut, b.vocab.Piece(id, false)...)
		n := wholeCharacters(cut)
		text.WriteString(strings.ToValidUTF8(string(cut[:n]), "\uFFFD"))
		cut = cut[n:]
	}
	return text.String()
}

// wholeCharacters is the length of text without a last character that is cut.
func wholeCharacters(text []byte) int {
	n := len(text)
	for i := 1; i <= min(utf8.UTFMax, n); i++ {
		if tail := text[n-i:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				return n - i
			}
			break
		}
	}
	return n
}
