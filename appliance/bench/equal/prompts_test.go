package equal

import "fmt"

// What is asked: every form of every topic, 200 in all. A form that quotes gives prompt lookup
// something to find.
var (
	forms = []string{
		"Write a paragraph about %s.", "Explain to a beginner how %s works, step by step.",
		"Write a Go function about %s and a test of it.", "Answer as a list of five lines: what is to be known about %s?",
		"Say three times in a row, with other words in between: there is more to %s than meets the eye.",
	}
	topics = []string{
		"a sundial", "a lock on a canal", "binary heaps", "sourdough", "a barometer", "hash tables", "the tango", "a weaving loom", "beekeeping", "regular expressions",
		"a steam engine", "tide tables", "matrix multiplication", "a bicycle pump", "the post office", "queues", "fire drills", "a compass", "the water cycle", "string reversal",
		"a lighthouse lens", "leap years", "a kite", "check digits", "the metronome", "roof tiles", "rate limiting", "mountain huts", "a pendulum", "Roman numerals",
		"a greenhouse", "graph search", "bell ringing", "a sewing machine", "temperature units", "chess clocks", "paper boats", "a bank account", "river deltas", "word counts",
	}
)

// prompt is the i-th of them; topics change fastest.
func prompt(i int) string {
	return fmt.Sprintf(forms[i/len(topics)%len(forms)], topics[i%len(topics)])
}

// card is what answers under a schema have to keep to.
const card = `{"type":"object","required":["title","summary","points","year","done"],"properties":{
	"title":{"type":"string","maxLength":60},"summary":{"type":"string","maxLength":240},
	"points":{"type":"array","minItems":2,"maxItems":6,"items":{"type":"object","required":["name","weight"],"properties":{
		"name":{"type":"string","maxLength":40},"weight":{"type":"integer","minimum":0,"maximum":100}}}},
	"year":{"type":"integer","minimum":1000,"maximum":2100},"done":{"type":"boolean"}}}`
