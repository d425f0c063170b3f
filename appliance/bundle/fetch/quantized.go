package fetch

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"skerry/appliance/bundle/gguf"
)

// HubPrefixes begin a reference to a repository of the hub, as Ollama's clients write it.
var HubPrefixes = []string{"hf.co/", "huggingface.co/"}

var (
	hubRepo = regexp.MustCompile(`^([\w.-]+)/([\w.-]+?)(?::([\w.-]+))?$`)
	// quantName is where a file's name says how its weights are stored.
	quantName = regexp.MustCompile(`(?i)(?:^|[-._])((?:UD-)?(?:I?Q\d[\w]*|BF16|F16|F32|FP16|FP32|MXFP4(?:_MOE)?))$`)
	// partName ends the name of a file that is one of several.
	partName = regexp.MustCompile(`-\d{5}-of-\d{5}$`)
)

// usual are the quantizations that are taken where a reference names none, the best first:
// four bits are what a board computes fastest with little loss.
var usual = []string{"q4_k_m", "q4_0", "q4_k_s", "q5_k_m", "q8_0"}

// maxListing bounds what the hub says of a repository, in bytes.
const maxListing = 8 << 20

// Quantized is a file of a repository that was found by its quantization.
type Quantized struct {
	Ref     string // as Model takes it: hf:OWNER/REPO/FILE
	Quant   string // as its name has it, in capitals; "" where it says none
	Licence string // of the repository, "" where it says none
	// Projector is the file beside it by which a model reads images, as Ref; "" for none.
	Projector string
}

// ByQuantization finds the file that OWNER/REPO:QUANT means, or OWNER/REPO, without or with
// one of HubPrefixes before it, by what the hub lists of the repository. Errors name what
// to do, and which quantizations there are.
func ByQuantization(ctx context.Context, ref string, opt Options) (q Quantized, err error) {
	bare, _ := cutHub(ref)
	m := hubRepo.FindStringSubmatch(bare)
	if m == nil || strings.Contains(bare, "..") {
		return q, fmt.Errorf("reference %q is not of the form hf.co/OWNER/REPO:QUANT", gguf.Short(ref))
	}
	c, err := newCache(opt)
	if err != nil {
		return q, err
	}
	repo := m[1] + "/" + m[2]
	text, err := Small(ctx, strings.TrimSuffix(c.opt.Hub, "/")+"/api/models/"+repo, maxListing, opt)
	if errors.Is(err, ErrNotThere) {
		return q, fmt.Errorf("the hub has no repository %s that can be had without an account: check owner and name", repo)
	}
	if err != nil {
		return q, err
	}
	l, err := parseListing(text)
	if err != nil {
		return q, fmt.Errorf("%s: what the hub says of it cannot be read: %w: name the file, as hf:%[1]s/FILE.gguf", repo, err)
	}
	file, err := l.choose(m[3])
	if err != nil {
		return q, fmt.Errorf("%s: %w", repo, err)
	}
	q = Quantized{Ref: "hf:" + repo + "/" + file, Quant: strings.ToUpper(quantOf(file)), Licence: l.licence}
	if p := l.projector(file); p != "" {
		q.Projector = "hf:" + repo + "/" + p
	}
	return q, nil
}

// listing is what the hub says of a repository.
type listing struct {
	files      []string // of models, whole ones, in order
	projectors []string // that turn images into input for them, in order
	parts      bool     // some are in several files
	licence    string
}

func parseListing(text []byte) (l listing, err error) {
	var said struct {
		Siblings []struct {
			Name string `json:"rfilename"`
		} `json:"siblings"`
		Tags []string `json:"tags"`
		Card struct {
			Licence any `json:"license"`
		} `json:"cardData"`
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return l, err
	}
	l.licence, _ = said.Card.Licence.(string)
	for _, tag := range said.Tags {
		if of, ok := strings.CutPrefix(tag, "license:"); ok && l.licence == "" {
			l.licence = of
		}
	}
	l.licence = gguf.Short(l.licence)
	for _, s := range said.Siblings {
		stem, isModel := strings.CutSuffix(s.Name, ".gguf")
		base := strings.ToLower(path.Base(stem))
		switch {
		case !isModel || strings.Contains(s.Name, "..") || !hubRef.MatchString("o/r/"+s.Name):
		case strings.HasPrefix(base, "mmproj"):
			l.projectors = append(l.projectors, s.Name)
		case partName.MatchString(stem):
			l.parts = true
		default:
			l.files = append(l.files, s.Name)
		}
	}
	slices.Sort(l.files)
	slices.Sort(l.projectors)
	return l, nil
}

// exact are the types of projectors in the order in which they are taken: half floats are what
// encoders are published in, and eight bits what a board has room for.
var exact = []string{"f16", "fp16", "q8_0", "bf16", "f32", "fp32"}

// projector is the one that is taken with a model's file, of its own directory where that has one;
// "" for none.
func (l listing) projector(file string) string {
	rank := func(p string) int {
		r := slices.Index(exact, strings.ToLower(quantOf(p)))
		if r < 0 {
			r = len(exact)
		}
		if path.Dir(p) != path.Dir(file) {
			r += len(exact) + 1
		}
		return r
	}
	if len(l.projectors) == 0 {
		return ""
	}
	return slices.MinFunc(l.projectors, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
}

// quantOf is the quantization that a file's name ends with, "" where it says none.
func quantOf(file string) string {
	m := quantName.FindStringSubmatch(strings.TrimSuffix(path.Base(file), ".gguf"))
	if m == nil {
		return ""
	}
	return m[1]
}

// choose finds the one file of a quantization, "" or "latest" for the usual one.
func (l listing) choose(quant string) (string, error) {
	if len(l.files) == 0 {
		if l.parts {
			return "", errors.New("its models are in several files each, which is not supported: join one with llama-gguf-split, and give the file")
		}
		return "", errors.New("it has no GGUF file: look for a repository whose name ends with GGUF")
	}
	if quant == "" || strings.EqualFold(quant, "latest") {
		if len(l.files) == 1 {
			return l.files[0], nil
		}
		for _, q := range usual {
			if found := l.of(q); len(found) == 1 {
				return found[0], nil
			}
		}
		return "", fmt.Errorf("it has several models: name one of its quantizations: %s", l.quants())
	}
	found := l.of(strings.TrimSuffix(strings.ToLower(quant), ".gguf"))
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fmt.Errorf("it has no file of quantization %s: choose one of %s", gguf.Short(quant), l.quants())
	}
	return "", fmt.Errorf("%s is in several files: name one of %s, as hf:OWNER/REPO/FILE", gguf.Short(quant), strings.Join(found[:min(len(found), mostNamed)], ", "))
}

// of lists the files of a quantization, or the one of that name.
func (l listing) of(quant string) (found []string) {
	for _, f := range l.files {
		stem := strings.ToLower(strings.TrimSuffix(path.Base(f), ".gguf"))
		if strings.EqualFold(quantOf(f), quant) || stem == quant {
			found = append(found, f)
		}
	}
	return found
}

// mostNamed are how many files or quantizations an error names.
const mostNamed = 12

func (l listing) quants() string {
	var names []string
	for _, f := range l.files {
		names = append(names, cmp.Or(strings.ToUpper(quantOf(f)), strings.TrimSuffix(path.Base(f), ".gguf")))
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if n := len(names) - mostNamed; n > 0 {
		names = append(names[:mostNamed], fmt.Sprintf("%d more", n))
	}
	return strings.Join(names, ", ")
}
