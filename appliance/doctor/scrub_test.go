package doctor

import (
	"bytes"
	"testing"
)

func TestScrub(t *testing.T) {
	for in, want := range map[string]string{
		`"tokens": 1284, "first_token_ms": 418`:   `"tokens": 1284, "first_token_ms": 418`,
		`bundle 9f2c4e0d71ab53c8e6f01d2b94a77388`: `bundle 9f2c4e0d71ab53c8e6f01d2b94a77388`,
		`api_key = "hun ter2" # x`:                `api_key = [removed] # x`,
		`{"password":"a\"b","n":1}`:               `{"password":[removed],"n":1}`,
		`token: abc, next`:                        `token: [removed], next`,
		`http://u:p@h/ and https://h/x@y`:         `http://[removed]h/ and https://h/x@y`,
		`authorization: basic dXNlcjpwYXNz`:       `authorization: [removed] [removed]`,
		`x sk-skerry-abcdefgh y`:                  `x [removed] y`,
		"a\xffb":                                  "a?b",
		`12345-6789A-BCDEF-GHJKM-NPQRS-TVWXY`:     `[removed]`,
	} {
		if got := string(scrub([]byte(in))); got != want {
			t.Errorf("%q\nis  %q\nnot %q", in, got, want)
		}
	}
}

// FuzzScrub hides a secret of each form in hostile text.
func FuzzScrub(f *testing.F) {
	f.Add("a ", " b")
	f.Add("-----BEGIN", "-----END X-----")
	f.Add("key=\"", "\"")
	f.Fuzz(func(t *testing.T, before, after string) {
		const secret = "zqSecret0123456789abcd"
		for _, form := range []string{" sk-" + secret + " ", "\nbearer " + secret + "\n", "\nx://u:" + secret + "@h\n", "\npassword=" + secret + "\n", "\n-----BEGIN EC PRIVATE KEY-----\n" + secret + "\n-----END EC PRIVATE KEY-----\n"} {
			if got := scrub([]byte(before + form + after)); bytes.Contains(got, []byte(secret)) {
				t.Errorf("%q is left in %q", form, got)
			}
		}
	})
}
