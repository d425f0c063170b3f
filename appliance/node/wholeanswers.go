package node

// mostAnswers are remembered of those whose last token was the whole model's.
const mostAnswers = 64

// wholeAnswers are answers whose last token the whole model on this board said.
type wholeAnswers map[string]bool

// last takes in whether the whole model said the next token of an answer, and returns whether
// it had said the one before.
func (w *wholeAnswers) last(answer string, whole bool) bool {
	before := (*w)[answer]
	switch {
	case !whole:
		delete(*w, answer)
	case *w == nil || len(*w) >= mostAnswers: // of those that ended, nobody says so
		*w = wholeAnswers{answer: true}
	default:
		(*w)[answer] = true
	}
	return before
}
