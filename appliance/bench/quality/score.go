package quality

import (
	"strings"
	"unicode"
)

// Metric names how an answer is scored, from 0 to 1.
type Metric string

// The metrics. A task's score is the mean over its answers.
const (
	// ExactMatch is 1 where the answer equals one of the references after both were
	// normalised as for SQuAD (Rajpurkar et al., arXiv 1606.05250, its evaluation): lower
	// case, no punctuation, none of the articles a, an and the, and single spaces.
	ExactMatch Metric = "exact_match"
	// RougeL is the best ROUGE-L F1 against a reference.
	RougeL Metric = "rouge_l"
	// Accuracy is 1 where the first of the task's labels that the answer has as a word, in
	// whatever case, is the right one. An answer without any is wrong.
	Accuracy Metric = "accuracy"
	// PassAt1 is 1 where the one program that was written passes its tests: pass@1 of Chen
	// et al. (arXiv 2107.03374) with one greedy sample.
	PassAt1 Metric = "pass_at_1"
)

// title of a metric as people read it.
func (m Metric) title() string {
	switch m {
	case ExactMatch:
		return "exact match"
	case RougeL:
		return "ROUGE-L"
	case PassAt1:
		return "pass@1"
	}
	return string(m)
}

// note says in a sentence what the metric is.
func (m Metric) note() string {
	switch m {
	case ExactMatch:
		return "Exact match is without case, punctuation and articles."
	case RougeL:
		return "ROUGE-L is the F1 of the longest common subsequence of words."
	case PassAt1:
		return "pass@1 is by the task's own tests."
	}
	return "Accuracy goes by the first of the two words that the answer has."
}

// score of an answer, by every metric but PassAt1.
func score(m Metric, i Item, labels []string, said string) (best float64) {
	for _, reference := range i.References {
		s := 0.0
		switch {
		case m == RougeL:
			s = rougeL(said, reference)
		case m == ExactMatch && normalize(said) == normalize(reference), m == Accuracy && firstOf(labels, said) == reference:
			s = 1
		}
		best = max(best, s)
	}
	return best
}

// normalize is the text as ExactMatch compares it.
func normalize(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPunct(r) || unicode.IsSymbol(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
	var kept []string
	for _, w := range strings.Fields(s) {
		if w != "a" && w != "an" && w != "the" {
			kept = append(kept, w)
		}
	}
	return strings.Join(kept, " ")
}

// words are the runs of letters and digits of a text, in lower case.
func words(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) })
}

// firstOf is the first word of the text that is one of the labels, "" where none is.
func firstOf(labels []string, said string) string {
	for _, w := range words(said) {
		for _, l := range labels {
			if w == l {
				return l
			}
		}
	}
	return ""
}

// rougeL is ROUGE-L of a candidate against one reference, as Lin defines it (ROUGE: A Package
// for Automatic Evaluation of Summaries, ACL 2004, section 3.1) with beta 1: of n words and
// m, whose longest common subsequence has l, precision is l/n and recall l/m, and this is
// their harmonic mean, 2l/(n+m). The text is one sequence, not split into sentences, and its
// words are neither stemmed nor left out. Without a word on either side it is 0.
func rougeL(candidate, reference string) float64 {
	a, b := words(candidate), words(reference)
	if len(a) == 0 || len(b) == 0 {
		return 0
	}
	return 2 * float64(commonSubsequence(a, b)) / float64(len(a)+len(b))
}

// commonSubsequence is the length of the longest sequence of words that both have in this
// order, with gaps or without.
func commonSubsequence(a, b []string) int {
	row := make([]int, len(b)+1) // of the words of a so far with the first j of b
	for _, w := range a {
		diagonal := 0 // row[j] before this word
		for j, v := range b {
			above := row[j+1]
			if w == v {
				row[j+1] = diagonal + 1
			} else {
				row[j+1] = max(above, row[j])
			}
			diagonal = above
		}
	}
	return row[len(b)]
}
