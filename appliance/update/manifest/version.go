package manifest

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
)

// Version is MAJOR.MINOR.PATCH. Its text is what the manifest has.
type Version struct{ Major, Minor, Patch uint32 }

var (
	strict  = regexp.MustCompile(`^(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})$`)
	leading = regexp.MustCompile(`^(?:0|[1-9][0-9]{0,8})\.(?:0|[1-9][0-9]{0,8})\.(?:0|[1-9][0-9]{0,8})`)
)

// ParseVersion reads three numbers with points, as 1.4.0.
func ParseVersion(s string) (v Version, err error) {
	m := strict.FindStringSubmatch(s)
	if m == nil {
		return v, fmt.Errorf("%.40q is no version of the form 1.4.0", s)
	}
	for i, to := range []*uint32{&v.Major, &v.Minor, &v.Patch} {
		n, _ := strconv.ParseUint(m[i+1], 10, 32) // nine digits always fit
		*to = uint32(n)
	}
	return v, nil
}

// BuiltVersion reads the version that a program was built with, which may go on after the
// three numbers with what tells builds apart. known is false where there are none.
func BuiltVersion(s string) (v Version, known bool) {
	v, err := ParseVersion(leading.FindString(s))
	return v, err == nil
}

// Built says whether a program that was built with this version is of version v.
func (v Version) Built(s string) bool {
	w, known := BuiltVersion(s)
	return known && v == w
}

// Compare is negative where v is older than w, and 0 where they are the same.
func (v Version) Compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor), cmp.Compare(v.Patch, w.Patch))
}

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// MarshalText writes it as in 1.4.0.
func (v Version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads it.
func (v *Version) UnmarshalText(text []byte) (err error) {
	*v, err = ParseVersion(string(text))
	return err
}
