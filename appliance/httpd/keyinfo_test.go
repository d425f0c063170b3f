package httpd

import (
	"fmt"
	"log/slog"
	"testing"
	"time"
)

// What is shown of keys has their scopes in force and never their hash.
func TestKeyInfos(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	keys, err := OpenKeys(t.TempDir(), func() time.Time { return now }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if infos, err := keys.Infos(); err != nil || infos == nil || len(infos) != 0 {
		t.Errorf("%v, %v", infos, err)
	}
	if _, err := keys.New("laptop", ScopeAsk, ScopeRead); err != nil {
		t.Fatal(err)
	}
	infos, err := keys.Infos()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(KeyTable(infos)), "[[NAME SCOPES CREATED LAST USED] [laptop ask,read 2026-01-02 never]]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
