package quality

import "strings"

// Kind is what a task asks for, and so how its answers are scored.
type Kind string

// The kinds.
const (
	Instruction  Kind = "instruction"
	Summary      Kind = "summary"
	YesNo        Kind = "yesno"
	Sentiment    Kind = "sentiment"
	Conversation Kind = "conversation"
	Code         Kind = "code"
)

// kindSpec is all that differs by kind.
type kindSpec struct {
	kind Kind
	// maxTokens is how long an answer may be unless told.
	maxTokens int
	// labels are the words one of which is the answer, nil where it is free text.
	labels []string
	// metrics are those of its answers, the one that differences are shown of first.
	metrics []Metric
	// needs are the fields that its entries must have.
	needs []string
}

var kinds = []kindSpec{
	{Instruction, 64, nil, []Metric{RougeL, ExactMatch}, []string{"prompt", "answers"}},
	{Summary, 48, nil, []Metric{RougeL, ExactMatch}, []string{"passage", "answers"}},
	{YesNo, 16, []string{"yes", "no"}, []Metric{Accuracy, ExactMatch}, []string{"passage", "question", "answers"}},
	{Sentiment, 16, []string{"positive", "negative"}, []Metric{Accuracy, ExactMatch}, []string{"passage", "answers"}},
	{Conversation, 32, nil, []Metric{RougeL, ExactMatch}, []string{"passage", "turns"}},
	{Code, 192, nil, []Metric{PassAt1}, []string{"prompt", "tests"}},
}

// spec finds a kind; ok is false where there is none of that name.
func spec(k Kind) (s kindSpec, ok bool) {
	for _, s := range kinds {
		if s.kind == k {
			return s, true
		}
	}
	return kindSpec{}, false
}

// kindNames lists the kinds for an error.
func kindNames() string {
	var names []string
	for _, s := range kinds {
		names = append(names, string(s.kind))
	}
	return strings.Join(names, ", ")
}
