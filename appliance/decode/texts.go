package decode

// Texts are the texts of an answer's first tokens, as Token.Text was of each of
// them: for showing Options.Said again. With last, the last ends the answer; ignoreEnd is
// that of the answer's options.
func Texts(v interface {
	Piece(id int32, markup bool) []byte
	End(id int32) bool
}, ids []int32, ignoreEnd, last bool) []string {
	var j textJoiner
	out := make([]string, len(ids))
	for i, id := range ids {
		if v.End(id) && !ignoreEnd {
			out[i] = j.flush()
		} else {
			out[i] = j.push(v.Piece(id, false))
		}
		if last && i == len(ids)-1 {
			out[i] += j.flush()
		}
	}
	return out
}
