package testseed

import (
	"cmp"
	"flag"
	"os"
	"testing"
)

func TestOf(t *testing.T) {
	t.Setenv(Variable, "")
	if a, b := Of(t), Of(t); a != fixed || b != fixed {
		t.Errorf("the seeds are %d and %d, not %d", a, b, fixed)
	}
	if a, b := Rand(t).Uint64(), Rand(t).Uint64(); a != b {
		t.Errorf("one seed gives %d and %d", a, b)
	}
	t.Setenv(Variable, "77")
	if got := Of(t); got != 77 {
		t.Errorf("the seed is %d, not the environment's", got)
	}
	t.Setenv(Variable, "random")
	if a, b := Of(t), Of(t); a == b {
		t.Errorf("the random seed is %d twice", a)
	}
}

func TestRapidHasTheSeed(t *testing.T) {
	want := cmp.Or(os.Getenv("RAPID_SEED"), os.Getenv(Variable), "1")
	if want == "random" {
		want = "0"
	}
	if got := flag.Lookup("rapid.seed").Value.String(); got != want {
		t.Errorf("rapid begins with seed %s, not %s", got, want)
	}
}

func TestParse(t *testing.T) {
	for _, value := range []string{"0", "-1", "1.5", "any", "99999999999999999999"} {
		if seed, err := parse(value); err == nil {
			t.Errorf("%q is taken as seed %d", value, seed)
		}
	}
}
