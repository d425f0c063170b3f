package plan

import (
	"fmt"
	"io"
	"math"
	"strings"

	"skerry/appliance/bundle/fetch"
	"skerry/appliance/status"
)

// Wants say what is wanted of a model, and of which board. Its fields are flags.
type Wants struct {
	Memory    float64 `help:"Take this as the memory that a model may have on the board, in GB. Without it that of this machine counts." placeholder:"GB"`
	Bandwidth float64 `help:"Take this as what the board's memory yields, in GB/s. Without it that of this machine is measured." placeholder:"GB/S"`
	Least     float64 `help:"Recommend no model that says fewer tokens a second than this." default:"5" placeholder:"TOKENS/S"`
}

// Recommendation are models by size, and the one to take.
type Recommendation struct {
	Memory    int64       `json:"memory"` // bytes, 0: not known
	Bandwidth float64     `json:"bandwidth"`
	Models    []Candidate `json:"models"` // by size
	// Name of the largest that is known by name, fits and is fast enough; "" where none is.
	Name string `json:"recommended"`
	// Size of the largest of any, as "3B"; "" where none is.
	Size  string  `json:"recommended_size"`
	Least float64 `json:"least_tokens_s"`
}

// Candidate is a model that may be taken.
type Candidate struct {
	Name   string  `json:"name"`
	Known  bool    `json:"known"` // skerry model fetch has it by its name
	Bytes  int64   `json:"bytes"`
	Needs  int64   `json:"memory"` // with its KV cache and what the program takes
	Fits   bool    `json:"fits"`
	Shared bool    `json:"fits_with_cloud"` // the board's part of it does
	Rate   float64 `json:"tokens_s"`        // alone, 0 where it does not fit
	Draft  string  `json:"draft,omitempty"`
}

// sizes are models by their parameters, in units of 10^9, of which people publish some.
var sizes = []float64{.5, 1, 1.5, 3, 4, 7, 8, 14, 32, 70}

const (
	// bytesPerParameter are those of Q4_K_M: 4.9 bits.
	bytesPerParameter = 4.9 / 8
	// kvShare is what a KV cache of 2048 positions takes beside weights of 4 bits.
	kvShare = 0.08
	// sharedPart is the board's part of a model that is split at a third and two thirds, with
	// its vocabulary.
	sharedPart = 0.75
)

// Recommend rates the models that fetch knows by name and the usual sizes, for a board with
// so much room for a model (0: not known). The error says which flag is no good.
func Recommend(w Wants, room int64) (*Recommendation, error) {
	for _, f := range []struct {
		name string
		v    float64
		most float64
	}{{"--memory", w.Memory, 1e6}, {"--bandwidth", w.Bandwidth, 1e6}, {"--least", w.Least, 1e6}} {
		if !(f.v >= 0 && f.v <= f.most) {
			return nil, fmt.Errorf("%s is %g: give a number from 0 to %g", f.name, f.v, f.most)
		}
	}
	r := &Recommendation{Memory: room, Bandwidth: w.Bandwidth * 1e9, Least: w.Least}
	if w.Memory > 0 {
		r.Memory = int64(w.Memory * 1e9)
	}
	if r.Bandwidth == 0 {
		r.Bandwidth = Bandwidth()
	}
	for _, name := range fetch.Packaged() {
		c := Candidate{Name: name, Known: true}
		c.Bytes, c.Draft = fetch.Size(name)
		r.add(c)
	}
	for _, n := range sizes {
		r.add(Candidate{Name: fmt.Sprintf("%gB, Q4_K_M", n), Bytes: int64(n * 1e9 * bytesPerParameter)})
	}
	r.choose()
	return r, nil
}

// Needs is about the memory, in bytes, that models of so many bytes together take, with their
// KV cache and what the program takes.
func Needs(bytes int64) int64 {
	return int64(math.Round(float64(bytes)*(1+kvShare))) + scratchBytes
}

// add rates a model and puts it where its size belongs.
func (r *Recommendation) add(c Candidate) {
	c.Needs = Needs(c.Bytes)
	c.Fits = r.Memory == 0 || c.Needs <= r.Memory
	c.Shared = c.Fits || int64(float64(c.Needs-scratchBytes)*sharedPart)+scratchBytes <= r.Memory
	if c.Fits {
		c.Rate = r.Bandwidth * BandwidthShare / float64(c.Bytes)
	}
	at := 0
	for at < len(r.Models) && r.Models[at].Bytes <= c.Bytes {
		at++
	}
	r.Models = append(r.Models[:at], append([]Candidate{c}, r.Models[at:]...)...)
}

// choose takes the largest of those that fit and are fast enough.
func (r *Recommendation) choose() {
	for _, c := range r.Models {
		switch {
		case !c.Fits || c.Rate < r.Least:
		case c.Known:
			r.Name = c.Name
		default:
			r.Size, _, _ = strings.Cut(c.Name, ",")
		}
	}
}

// Text writes it for people, with a table that table prints.
func (r *Recommendation) Text(w io.Writer, table func(io.Writer, ...[]string) error) error {
	memory := "an unknown amount of memory"
	if r.Memory > 0 {
		memory = status.Bytes(r.Memory)
	}
	fmt.Fprintf(w, "This board has %s for a model and reads %s/s of it.\n", memory, status.Bytes(r.Bandwidth))
	switch draft := r.draft(); {
	case r.Name == "":
		fmt.Fprintf(w, "No model that is known by name fits and says %g tokens a second: give a lower --least, or have a cloud compute (skerry enroll CODE).\n", r.Least)
	case draft != "":
		fmt.Fprintf(w, "Take %s: skerry model fetch %[1]s, and split it with --draft %s.\n", r.Name, draft)
	default:
		fmt.Fprintf(w, "Take %s: skerry model fetch %[1]s.\n", r.Name)
	}
	if r.Size != "" {
		fmt.Fprintf(w, "Of other models those of up to %s parameters are fast enough: skerry model fetch hf:OWNER/REPO/FILE.gguf.\n", r.Size)
	}
	fmt.Fprintln(w)
	rows := [][]string{{"MODEL", "SIZE", "MEMORY", "TOKENS/S ALONE", "ON THIS BOARD"}}
	for _, c := range r.Models {
		rate, where := "", "no"
		switch {
		case c.Fits:
			rate, where = fmt.Sprintf("%.1f", c.Rate), "whole"
		case c.Shared:
			where = "its part of it, with a cloud"
		}
		rows = append(rows, []string{c.Name, status.Bytes(c.Bytes), status.Bytes(c.Needs), rate, where})
	}
	return table(w, rows...)
}

func (r *Recommendation) draft() string {
	for _, c := range r.Models {
		if c.Name == r.Name {
			return c.Draft
		}
	}
	return ""
}
