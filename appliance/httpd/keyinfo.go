package httpd

import (
	"cmp"
	"time"
)

// KeyInfo is what is shown of a key: all but its hash.
type KeyInfo struct {
	Name    string    `json:"name"`
	Scopes  Scopes    `json:"scopes"` // that are in force
	Created time.Time `json:"created"`
	Used    string    `json:"last_used,omitempty"` // day, UTC; "" for never
}

// Infos is List for people; without keys it is empty and not nil.
func (k *Keys) Infos() ([]KeyInfo, error) {
	keys, err := k.List()
	infos := []KeyInfo{}
	for _, key := range keys {
		infos = append(infos, KeyInfo{key.Name, key.InForce(), key.Created, key.Used})
	}
	return infos, err
}

// KeyTable has a row for each key, under a row of heads.
func KeyTable(infos []KeyInfo) [][]string {
	rows := [][]string{{"NAME", "SCOPES", "CREATED", "LAST USED"}}
	for _, i := range infos {
		rows = append(rows, []string{i.Name, i.Scopes.String(), i.Created.Format(time.DateOnly), cmp.Or(i.Used, "never")})
	}
	return rows
}
