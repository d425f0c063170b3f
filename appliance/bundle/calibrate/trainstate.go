package calibrate

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"skerry/appliance/bundle/disk"
)

// trainHeader begins the file of a training's state.
type trainHeader struct {
	Round int
	Curve []TrainPoint
}

// save keeps how far the training has come.
func (t *training) save() error {
	if err := os.MkdirAll(t.cache, 0o755); err != nil {
		return err
	}
	return disk.PlaceFile(t.cache, filepath.Base(t.path), func(f *os.File) error {
		w := bufio.NewWriterSize(f, 1<<20)
		if err := json.NewEncoder(w).Encode(trainHeader{t.round, t.result.Curve}); err != nil {
			return err
		}
		return errors.Join(t.net.WriteState(w), w.Flush())
	})
}

// resume takes up a training that was interrupted, and returns how many rounds it did.
func (t *training) resume() (rounds int, err error) {
	f, err := os.Open(t.path)
	if err != nil {
		return 0, nil // it begins
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	line, err := r.ReadBytes('\n')
	var h trainHeader
	if err == nil {
		err = json.Unmarshal(line, &h)
	}
	if err == nil && h.Round > 0 && len(h.Curve) == h.Round+1 {
		err = t.net.ReadState(r)
	}
	if err != nil {
		os.Remove(t.path)
		return 0, fmt.Errorf("the training that was interrupted cannot go on, and is forgotten: %w: start it again", err)
	}
	t.result.Curve = h.Curve
	t.opt.Note("the training goes on after round %d: %s", h.Round, h.Curve[h.Round].Text())
	return h.Round, nil
}
