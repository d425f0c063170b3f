package manifest

import (
	"errors"
	"testing"
	"time"
)

// A manifest, a key and both kinds of signature as minisign 0.11 itself writes them.
const (
	toolManifest = `{"format":1,"kind":"program","version":"1.4.0","board":"any","arch":"any","created":"2030-01-01T00:00:00Z","expires":"2031-01-01T00:00:00Z","files":[{"name":"skerry","size":3,"sha256":"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"}]}
`
	toolKey = `untrusted comment: minisign public key 65A9314ADCB36CC9
RWTJbLPcSjGpZTho/HL3fctY0fBvseFgctZKqSnPAsIk5UTtvXf2it1Q
`

	toolSignature = `untrusted comment: signature from minisign secret key
RUTJbLPcSjGpZSD+p262vWcH93cTwdV/2BiCPwRKwWw6GqvBK/4Vf5ldtRp2k7P7JyCh2E1rvpWgVxUGAXdGGoVXAljKlJiIGwA=
trusted comment: skerry 1.4.0
c+s4HPnJ1WwGwHovKt9NN2JdEJSPTTkwWZnMF4c4yS4nXA2CU3oGE0u78OGppZNu+VjMO+P324M60/poFPQWDw==
`

	toolLegacy = `untrusted comment: signature from minisign secret key
RWTJbLPcSjGpZRgji7w09+vR98CPKWTEeWXvegdiLv0aoMBECGh52/JsDvAzrNKut9dLzbqkQSv+/qrb96DJMDAa1hINUHGvAAQ=
trusted comment: legacy
ykuIG+MiA5hvQAKReaVAp6qZYPMwX6RSkI3ElORtu7v6eroB+GYV27y9WnRteT6fIgfZJmM9VZNiMKNNKKyZBA==
`
)

func TestSignaturesOfMinisign(t *testing.T) {
	p := Policy{Keys: []string{toolKey}, Kind: Program, Board: "pi", Arch: "arm64", Installed: &Version{1, 3, 0}, Now: time.Date(2030, 2, 1, 0, 0, 0, 0, time.UTC)}
	for name, signature := range map[string]string{"prehashed": toolSignature, "legacy": toolLegacy} {
		if m, err := Open([]byte(toolManifest), []byte(signature), p); err != nil || m.Version != (Version{1, 4, 0}) {
			t.Errorf("%s: %v, %v", name, m, err)
		}
		if _, err := Open([]byte(toolManifest+"\n"), []byte(signature), p); !errors.Is(err, &Refusal{Reason: Forged}) {
			t.Errorf("%s, of another manifest: %v", name, err)
		}
	}
	// People also pass the one line of the key.
	p.Keys = []string{"RWTJbLPcSjGpZTho/HL3fctY0fBvseFgctZKqSnPAsIk5UTtvXf2it1Q"}
	if _, err := Open([]byte(toolManifest), []byte(toolSignature), p); err != nil {
		t.Error(err)
	}
}
