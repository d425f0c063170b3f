package heads

import (
	"testing"

	"skerry/build/testleak"
)

func TestMain(m *testing.M) { testleak.Main(m) }
