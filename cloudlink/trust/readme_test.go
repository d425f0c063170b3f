package trust

import (
	"os"
	"reflect"
	"regexp"
	"testing"
	"time"
)

// The code that the protocol's page shows is of what the page says is in it.
func TestReadmeCode(t *testing.T) {
	page, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?s)```code\n(.*?)```").FindSubmatch(page)
	if shown == nil {
		t.Fatal("no code is shown")
	}
	want := Code{
		Authority: [fingerprintLen]byte{0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10},
		Secret:    [secretLen]byte{0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab},
		Expires:   time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), Disclosure: Hidden,
		Addrs: []string{"192.0.2.7:7537", "cloud.example.org:7537"},
	}
	got, err := ParseCode(string(shown[1]))
	if err != nil {
		t.Fatalf("%v; it would be\n%s", err, want)
	}
	if got.Expires = got.Expires.UTC(); !reflect.DeepEqual(got, want) {
		t.Errorf("the code shown is %+v; it would be\n%s", got, want)
	}
}
