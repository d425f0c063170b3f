package openai

import (
	"testing"

	"skerry/appliance/api/exchange"
)

// What is asked for too much is refused before a request is made for each answer.
func TestTooManyAnswersCostNothing(t *testing.T) {
	n := exchange.Integer(mostChoices)
	c := completionRequest{Prompt: make(prompts, 5000)}
	c.N = &n
	for i := range c.Prompt {
		c.Prompt[i].text = "x"
	}
	made := testing.AllocsPerRun(1, func() {
		if _, err := c.requests(); err == nil {
			t.Error("80000 answers are not refused")
		}
	})
	if made > 100 {
		t.Errorf("%v allocations to refuse it", made)
	}
	c.Prompt = c.Prompt[:mostAnswers/mostChoices]
	if all, err := c.requests(); err != nil || len(all) != mostAnswers {
		t.Errorf("%d requests, %v", len(all), err)
	}
}
