package bundle

// Role says what a stage file is for.
type Role string

// The roles of a bundle, in the order of the manifest.
const (
	Board1  Role = "board-1" // blocks [0,e1): takes tokens
	Board2  Role = "board-2" // blocks [e1,e2): takes hidden states; only with two exits
	Cloud   Role = "cloud"   // blocks [e1,N) and the model's head: takes hidden states
	Unsplit Role = "unsplit" // the whole model: the oracle, may be absent

	// DraftModel is a whole smaller model of the same vocabulary, which Manifest.Draft
	// describes; it is no stage of the bundle's model. Most bundles have none.
	DraftModel Role = "draft"
)

// File is the role's file name in a bundle.
func (r Role) File() string { return string(r) + ".gguf" }

// StagesOf lists the stages of a model of n blocks with one or two exits.
func StagesOf(exits []int, n int) []Stage {
	s := []Stage{{Role: Board1, From: 0, To: exits[0]}}
	if len(exits) == 2 {
		s = append(s, Stage{Role: Board2, From: exits[0], To: exits[1]})
	}
	return append(s,
		Stage{Role: Cloud, From: exits[0], To: n},
		Stage{Role: Unsplit, From: 0, To: n})
}
