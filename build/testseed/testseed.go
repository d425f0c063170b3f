// Package testseed says which seed a test draws its random input from: by default the same
// one each time, so that a change is not refused for a fault that it did not make.
// SKERRY_TEST_SEED=random draws another each time, as make soak does, and
// SKERRY_TEST_SEED=N repeats one. Checks by rapid of a package that imports this one have the
// same seed, unless RAPID_SEED names another.
package testseed

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	_ "pgregory.net/rapid" // whose flags are there before init
)

// Variable is the environment variable that chooses the seed: a whole number from 1 on,
// or "random".
const Variable = "SKERRY_TEST_SEED"

// fixed is the seed where the environment names none.
const fixed = 1

// init sets the flag of rapid, whose own default is another seed each time, as 0 is.
func init() {
	if _, chosen := os.LookupEnv("RAPID_SEED"); chosen {
		return
	}
	if seed, err := parse(os.Getenv(Variable)); err == nil { // else Of says so
		flag.Set("rapid.seed", strconv.FormatUint(seed, 10))
	}
}

// Of returns the seed of a test, never 0, and logs it. With SKERRY_TEST_SEED=random each
// call returns another.
func Of(t testing.TB) uint64 {
	t.Helper()
	seed, err := parse(os.Getenv(Variable))
	if err != nil {
		t.Fatal(err)
	}
	for seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("%s=%d", Variable, seed)
	return seed
}

// Rand returns a generator that starts from the test's seed.
func Rand(t testing.TB) *rand.Rand {
	t.Helper()
	return rand.New(rand.NewPCG(Of(t), 0))
}

// parse returns 0 for a random seed.
func parse(value string) (uint64, error) {
	switch value {
	case "":
		return fixed, nil
	case "random":
		return 0, nil
	}
	seed, err := strconv.ParseUint(value, 10, 64)
	if err != nil || seed == 0 {
		return 0, fmt.Errorf("%s is %q: it is a whole number from 1 on, or random", Variable, value)
	}
	return seed, nil
}
