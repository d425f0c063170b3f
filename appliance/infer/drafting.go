package infer

import (
	"fmt"
	"strings"
)

// Drafting says which drafts the full model checks, in the modes whose text does not depend
// on them.
type Drafting string

// The choices.
const (
	DraftAuto   Drafting = "auto"   // whichever is predicted to be faster than decoding one by one
	DraftOff    Drafting = "off"    // none
	DraftLookup Drafting = "lookup" // prompt lookup alone, wherever it has a match
	DraftModel  Drafting = "model"  // the draft model alone, always
)

// Draftings are all choices, the default first.
var Draftings = []Drafting{DraftAuto, DraftOff, DraftLookup, DraftModel}

// Check returns what is wrong with the choice; "" is DraftAuto.
func (d Drafting) Check() error {
	for _, known := range Draftings {
		if d == known || d == "" {
			return nil
		}
	}
	return fmt.Errorf("draft %q is unknown: choose %s", d, DraftingNames(" or "))
}

// DraftingNames joins the choices.
func DraftingNames(with string) string {
	var names []string
	for _, d := range Draftings {
		names = append(names, string(d))
	}
	return strings.Join(names, with)
}
