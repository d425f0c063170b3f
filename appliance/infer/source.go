package infer

// Source is the part of the system that said a token.
type Source string

// The sources.
const (
	Exit1       Source = "exit1"
	Exit2       Source = "exit2"
	FromDraft   Source = "draft"
	FromLookup  Source = "lookup"
	FromCloud   Source = "cloud"
	Fallback    Source = "fallback" // the draft or the deepest exit, unsure
	FromUnsplit Source = "unsplit"
)

// SourceInfo is how a source is shown: by its name, or by a letter where there is no room.
type SourceInfo struct {
	Key     Source
	Letter  string
	Name    string
	Meaning string // a half-sentence
	// Tint is its colour on a terminal, as the parameters of an ANSI SGR sequence: what the
	// board said is coloured, what the full model said is plain, what nobody was sure of
	// stands out.
	Tint string
}

// Sources are all of them, in the order in which people read them. Whatever lists or counts
// by source ranges over this.
var Sources = []SourceInfo{
	{Exit1, "1", "exit 1", "the board, at its first exit", "32"},
	{Exit2, "2", "exit 2", "the board, at its second exit", "36"},
	{FromDraft, "D", "draft", "a small model on the board", "35"},
	{FromLookup, "L", "lookup", "the board, by what followed the same words before", "34"},
	{FromCloud, "C", "cloud", "the whole model; the cloud computed the rest", ""},
	{Fallback, "F", "fallback", "the board, unsure: the cloud could not be asked, or did not answer in time", "33;4"},
	{FromUnsplit, "U", "unsplit", "the whole model, on this board", ""},
}

// Info is how the source is shown; one that is not known is shown as it is.
func (s Source) Info() SourceInfo {
	for _, info := range Sources {
		if info.Key == s {
			return info
		}
	}
	return SourceInfo{Key: s, Letter: "?", Name: string(s)}
}
