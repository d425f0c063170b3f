package fields

import "strings"

// Suggest is the field that a path of no field was probably meant to be, "" for none: the
// same name elsewhere in the request, or one that differs by a letter or two.
func (t *Table) Suggest(path string) string {
	parent, name := split(path)
	best, least := "", 1+len(name)/4
	if least > 3 {
		least = 3
	}
	least++ // found has to be less
	bare := plain(name)
	for i := range t.Fields {
		f := &t.Fields[i]
		if f.Treatment == Refused {
			continue
		}
		in, leaf := split(f.Name)
		if in != parent && leaf == name {
			return f.Name
		}
		if in != parent || len(name) < 3 {
			continue
		}
		if d := distance(plain(leaf), bare); d < least {
			best, least = f.Name, d
		}
	}
	return best
}

// joints are between the words of a name.
var joints = strings.NewReplacer("_", "", "-", "")

// plain is a name as topK, top-k and top_k have in common.
func plain(name string) string { return strings.ToLower(joints.Replace(name)) }

// distance is how many letters have to be put in, left out, replaced or swapped with their
// neighbour to make a into b (optimal string alignment; Damerau 1964).
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
