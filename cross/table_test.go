package cross_test

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"text/tabwriter"

	"skerry/appliance/bundle"
)

const tablePath = "../build/out/emulation.txt"

// row is one processor's line of the table.
type row struct {
	cpu     cpu
	kernels kernelsOf
	parity  *bundle.ParityResult
	chained []comparison // with the unsplit model, on this processor
	native  []comparison // of the unsplit model, with this machine
}

// report prints the table, and leaves it where make test can show it.
func report(t *testing.T, native kernelsOf, rows []row) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "Text is compared with %s/%s, %s kernels; near-tie: a margin below %g.\n", runtime.GOOS, runtime.GOARCH, native.Variant, nearTie)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "cpu\tvariant\tfeatures\tslices of 64 positions\tprompt\tchained against unsplit\tagainst this machine")
	ties := 0
	for _, r := range rows {
		if r.parity == nil {
			continue // its test has failed
		}
		head := fmt.Sprintf("%s\t%s\t%s\t%d equal, logits within %g", r.cpu.name, r.kernels.Variant, strings.Join(r.kernels.Features, " "), r.parity.EqualTokens, r.parity.MaxAbsDiff)
		for i := range r.native {
			fmt.Fprintf(w, "%s\t%d\t%v\t%v\n", head, i+1, r.chained[i], r.native[i])
			head = "\t\t\t"
			for _, c := range []comparison{r.chained[i], r.native[i]} {
				if c.differ >= 0 {
					ties++
				}
			}
		}
	}
	w.Flush()
	fmt.Fprintf(&b, "%d texts part at a near-tie\n", ties)
	io.WriteString(os.Stdout, b.String())
	if err := os.WriteFile(tablePath, []byte(b.String()), 0o644); err != nil {
		t.Error(err)
	}
}
