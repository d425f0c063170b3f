package quality

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// isQuAC says whether a file that begins with an object is QuAC's: one object with an array
// under "data", before or behind its version.
func isQuAC(data []byte) bool {
	d := json.NewDecoder(bytes.NewReader(data))
	return findArray(d, "data") == nil
}

// quacReader reads the articles of QuAC. Each of their paragraphs is a conversation.
func quacReader(take func(Entry) error) valueReader {
	return func(v json.RawMessage) error {
		var article struct {
			Paragraphs []struct {
				Context string
				QAs     []struct {
					Question string
					Answers  []struct{ Text string }
				}
			}
		}
		if err := json.Unmarshal(v, &article); err != nil {
			return err
		}
		if len(article.Paragraphs) == 0 {
			return fmt.Errorf("an article without paragraphs")
		}
		for _, p := range article.Paragraphs {
			// The text ends with the word for what it does not tell, which our question gives.
			e := Entry{Kind: Conversation, Passage: strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(p.Context), untold))}
			for _, qa := range p.QAs {
				turn := Turn{Question: qa.Question}
				for _, a := range qa.Answers {
					if !slices.Contains(turn.Answers, a.Text) {
						turn.Answers = append(turn.Answers, a.Text)
					}
				}
				e.Turns = append(e.Turns, turn)
			}
			if err := take(e); err != nil {
				return err
			}
		}
		return nil
	}
}
