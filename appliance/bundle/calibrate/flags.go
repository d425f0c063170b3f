package calibrate

import "errors"

// Flags say what is calibrated, how, and what is printed. Its fields are flags.
type Flags struct {
	Dir             string   `arg:"" help:"Fit the exits of the bundle in this directory, and measure its draft model." type:"path"`
	Text            []string `help:"Fit to this text file instead of the packaged texts. It may be repeated." placeholder:"FILE" type:"path"`
	Report          []string `help:"Measure on this text file, of another source, instead of on a part of the texts. It may be repeated." placeholder:"FILE" type:"path"`
	Tokens          int      `help:"Fit on about so many tokens." default:"${calibrateTokens}"`
	Steps           int      `help:"Take so many steps of gradient descent after the regression; -1 takes none." default:"${calibrateSteps}"`
	Seed            uint64   `help:"Draw texts, answers and their order with this seed." default:"1"`
	Threads         int      `help:"Compute with so many threads instead of one for each core." placeholder:"N"`
	MaxDisagreement float64  `help:"Believe the exits and the draft model only so far that at most this share of tokens is not the whole model's, with a probability of 0.95." placeholder:"X"`
	DraftOnly       bool     `help:"Measure the draft model alone, and fit no exits."`
	MeasureOnly     bool     `help:"Fit nothing: measure the exits as they are, and choose anew how far they are believed."`
	Keep            bool     `help:"Keep what the model read and wrote in the cache, for another calibration."`
	HeadSet         string   `help:"Write the fitted heads to this file too, which another bundle of the model can take in." placeholder:"FILE" type:"path"`
	JSON            bool     `help:"Print the result as JSON." name:"json"`
}

// Options checks the flags, before anything is loaded.
func (f *Flags) Options() (Options, error) {
	o := Options{Texts: f.Text, Reports: f.Report, Tokens: f.Tokens, Steps: f.Steps, Seed: f.Seed, Threads: f.Threads,
		MaxDisagreement: f.MaxDisagreement, Keep: f.Keep, HeadSet: f.HeadSet, DraftOnly: f.DraftOnly, MeasureOnly: f.MeasureOnly}
	switch {
	case f.MeasureOnly && (f.DraftOnly || f.HeadSet != ""):
		return o, errors.New("--measure-only measures the exits that the bundle has: give neither --draft-only nor --head-set with it")
	case f.MaxDisagreement < 0 || f.MaxDisagreement >= 1:
		return o, errors.New("--max-disagreement is a share above 0 and below 1, as 0.05")
	case f.Tokens < 1000 || f.Steps == 0 || f.Threads < 0:
		return o, errors.New("--tokens is at least 1000, --steps 1 or more or -1 for none, --threads 1 or more")
	case f.DraftOnly && f.HeadSet != "":
		return o, errors.New("--draft-only fits no heads that --head-set could write")
	}
	return o, nil
}
