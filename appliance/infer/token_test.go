package infer

import (
	"encoding/json"
	"testing"
)

// What is told of a token keeps its form: programs read it, and answers are kept in it.
func TestTokenJSON(t *testing.T) {
	for want, token := range map[string]Token{
		`{"id":7,"text":" sea","source":"exit2","verified":false,"confidence":0.5,"margin":2,"wait_ms":0,"why_not_asked":"confident"}`: {
			ID: 7, Text: " sea", Source: Exit2, Confidence: 0.5, Margin: 2, Why: WhyConfident,
		},
		`{"id":8,"text":"x","source":"cloud","verified":true,"confidence":1,"margin":3,"wait_ms":12.5,"logprob":-0.5,"top":[{"id":8,"logprob":-0.5}],"change":{"at":5,"to":"collaborative","reason":"link good: 20ms"}}`: {
			ID: 8, Text: "x", Source: FromCloud, Verified: true, Confidence: 1, Margin: 3, WaitMS: 12.5, Logprob: -0.5,
			Top: []Logprob{{ID: 8, Logprob: -0.5}}, Change: &Change{At: 5, To: "collaborative", Reason: "link good: 20ms"},
		},
	} {
		if got, err := json.Marshal(token); err != nil || string(got) != want {
			t.Errorf("%s, %v, not\n%s", got, err, want)
		}
	}
}
