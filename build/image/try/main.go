// Command try boots an image in qemu, on an imitated arm64 board with UEFI, and sees that it
// is a working appliance: the page is there and wants the key that the console shows, and a
// question is answered. It updates the board, and then cuts the power, which is qemu killed, in
// answers, first starts and updates; after each cut the board has to start, with everything
// that was committed.
//
//	go run ./build/image/try -image build/out/skerry-uefi-VERSION.img -steps list
//	go run ./build/image/try -image build/out/skerry-uefi-VERSION.img -steps start,update
//	go run ./build/image/try -image build/out/skerry-uefi-VERSION.img -pulls 30
//
// An emulated start takes minutes, so that a run is of steps: its card, its table and how far it
// has come stay in a directory, and the next call goes on with what is not done. What a kill
// does not imitate: qemu hands every write of the guest to the kernel at once, so that none is
// lost that the guest has made, as a card's own cache may lose it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options of the command line.
type options struct {
	image, dir, out string
	update          string
	steps           string
	program         string
	pulls           int
	seed            uint64
	size            int64
}

func main() {
	var o options
	flag.StringVar(&o.image, "image", "", "the image, which carries a bundle")
	flag.StringVar(&o.dir, "dir", "", "directory of the cards, of what the consoles say, and of how far the run has come; build/out/image-test, or image-test-pi, if missing")
	flag.StringVar(&o.update, "update", "", "directory of the update to the image's own version; the one that make image has made beside it if missing")
	flag.StringVar(&o.steps, "steps", "", "what is done, with commas between; list shows it; everything that is not done yet if missing")
	flag.StringVar(&o.program, "program", "bin/skerry", "the program, for the cloud that a board joins")
	flag.StringVar(&o.out, "out", "", "file that the table goes to")
	flag.IntVar(&o.pulls, "pulls", 30, "how often the power is cut, in answers, first starts and updates by turns")
	flag.Uint64Var(&o.seed, "seed", 1, "of the moments of the cuts")
	flag.Int64Var(&o.size, "size", 2500, "size of the card in MB")
	flag.Parse()
	if o.steps == "list" {
		list()
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "image-test:", err)
		os.Exit(1)
	}
}

// list prints the steps, and what else of the update matrix is shown by which command.
func list() {
	for _, s := range steps {
		fmt.Printf("%-18s %s\n", s.name, s.what)
	}
	fmt.Println("\nShown faster by other tests:")
	for _, s := range elsewhere {
		fmt.Printf("  %s\n    %s\n", s.what, s.command)
	}
}

// systemSize is more than what all partitions but the data's have, in MB, and less than what
// they have with the data's as it is before it grows.
const systemSize = 1500

// tokens are how many an answer may have.
const tokens = 200

// try is one run.
type try struct {
	options
	*progress
	card *machine // the one that stays
	step string   // that is being done
}

func run(ctx context.Context, o options) error {
	if o.image == "" {
		return errors.New("there is no image: make image BUNDLE=DIR builds one with a model, and IMAGE=FILE names another")
	}
	if o.update == "" {
		o.update = updateOf(o.image)
	}
	if o.dir == "" {
		o.dir = "build/out/image-test"
		if isPi(o.image) {
			o.dir += "-pi"
		}
	}
	wanted, again, err := choose(o.steps, isPi(o.image))
	if err != nil {
		return err
	}
	p, err := loadProgress(o.dir, o.image)
	if err != nil {
		return err
	}
	t := &try{options: o, progress: p}
	t.card = &machine{dir: filepath.Join(o.dir, "card"), pi: isPi(o.image), starts: &p.Starts}
	defer t.card.kill()
	for _, s := range wanted {
		if t.done(s.name) && !again && s.name != pulls {
			continue
		}
		if err = t.do(ctx, s); err != nil {
			err = fmt.Errorf("%s: %w", s.name, err)
			break
		}
	}
	if o.out != "" {
		err = errors.Join(err, os.WriteFile(o.out, []byte(p.table()), 0o644))
	}
	if n := p.failed(); err == nil && n > 0 {
		err = fmt.Errorf("%d checks have failed", n)
	}
	return err
}

// updateOf is where make image has put the update to the version of an image.
func updateOf(image string) string {
	name := strings.TrimSuffix(filepath.Base(image), ".img")
	return filepath.Join(filepath.Dir(image), "update-"+strings.TrimPrefix(name, "skerry-"))
}

// choose is the steps that are named, in their order, or all that a board can do; again says that
// they are done though they were.
func choose(names string, pi bool) (wanted []step, again bool, err error) {
	if names == "" {
		for _, s := range steps {
			if !pi || s.pi {
				wanted = append(wanted, s)
			}
		}
		return wanted, false, nil
	}
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(steps, func(s step) bool { return s.name == name })
		switch {
		case i < 0:
			return nil, false, fmt.Errorf("there is no step %q: -steps list shows them", name)
		case pi && !steps[i].pi:
			return nil, false, fmt.Errorf("%s: qemu imitates no firmware of a Raspberry Pi, which updates need: go test ./appliance/update -run TestMatrixOfImages does", name)
		}
		wanted = append(wanted, steps[i])
	}
	slices.SortFunc(wanted, func(a, b step) int { return indexOf(a) - indexOf(b) })
	return wanted, true, nil
}

func indexOf(s step) int {
	return slices.IndexFunc(steps, func(o step) bool { return o.name == s.name })
}

// do does a step, and notes that it is done where nothing of it has failed.
func (t *try) do(ctx context.Context, s step) error {
	if s.name != steps[0].name && !t.done(steps[0].name) {
		if err := t.do(ctx, steps[0]); err != nil {
			return err
		}
	}
	if s.name != pulls { // each of those is a row that stays
		t.forget(s.name)
	}
	t.step = s.name
	before := t.failed()
	if err := s.do(t, ctx); err != nil {
		return errors.Join(err, t.save())
	}
	if t.failed() == before {
		t.Steps = append(t.Steps, s.name)
	}
	return t.save()
}

// note adds a line to the table. bad, where it is not nil, makes it one that has failed.
func (t *try) note(bad error, what, format string, args ...any) {
	r := row{Step: t.step, What: what, Found: fmt.Sprintf(format, args...), At: time.Now().UTC().Truncate(time.Second)}
	if bad != nil {
		r.Bad = strings.Join(strings.Fields(bad.Error()), " ")
	}
	fmt.Println(r)
	t.Rows = append(t.Rows, r)
	if err := t.save(); err != nil {
		fmt.Fprintln(os.Stderr, "image-test:", err)
	}
}

// chance is the random source of one cut: a run that goes on cuts where a whole one would have.
func (t *try) chance(n int) *rand.Rand { return rand.New(rand.NewPCG(t.seed, uint64(n))) }

// on has the card that stays run and answer.
func (t *try) on(ctx context.Context) error {
	if t.card.qemu != nil {
		return nil
	}
	if err := t.card.start(ctx); err != nil {
		return err
	}
	if err := t.card.ready(ctx); err != nil {
		return err
	}
	if t.Key != "" && t.card.key != t.Key {
		return errors.New("the board has another key to its page than before")
	}
	return nil
}
