package status

import "fmt"

// Outlook is what mode auto predicts of an answer of usual length, and what it chose by that.
type Outlook struct {
	Mode   string        `json:"mode"` // chosen; "" where none of those predicted can be had
	Second string        `json:"second,omitempty"`
	Why    string        `json:"reason"`
	Prompt int           `json:"prompt_tokens"`
	Answer int           `json:"answer_tokens"`
	Modes  []ModeOutlook `json:"modes"`
	// DraftBehind is how many positions of the answers under way the draft model on the board lacks
	// at most, before it can speak in the cloud's place; nil while none is under way, or without one.
	DraftBehind *int `json:"draft_behind,omitempty"`
}

// ModeOutlook is what is predicted of one mode.
type ModeOutlook struct {
	Mode      string  `json:"mode"`
	Not       string  `json:"not,omitempty"` // why it cannot be chosen
	FirstMS   float64 `json:"first_token_ms"`
	TokenMS   float64 `json:"token_ms"` // each further one
	Asks      float64 `json:"asks_per_token"`
	Bytes     float64 `json:"bytes_up_per_token"`
	CloudMS   float64 `json:"cloud_ms_per_token"`
	Agreement float64 `json:"agreement"` // share of tokens that the whole model would say
	Draft     string  `json:"draft_by,omitempty"`
	Length    int     `json:"draft,omitempty"` // the best length of drafts
}

// Says is the outlook in a sentence: the mode, the one after it, and what either takes.
func (o *Outlook) Says() string {
	if o == nil {
		return ""
	}
	text := ""
	for _, name := range []string{o.Mode, o.Second} {
		for _, m := range o.Modes {
			switch {
			case m.Mode != name || name == "":
			case text == "":
				text = fmt.Sprintf("predicted: %s with %.0f ms to the first token and %.0f ms for each further one", name, m.FirstMS, m.TokenMS)
			default:
				text += fmt.Sprintf("; then %s with %.0f and %.0f ms", name, m.FirstMS, m.TokenMS)
			}
		}
	}
	switch {
	case text == "" || o.DraftBehind == nil:
	case *o.DraftBehind == 0:
		text += "; the draft is ready to go on"
	default:
		text += "; the draft is " + Plural(*o.DraftBehind, "token") + " behind"
	}
	return text
}
