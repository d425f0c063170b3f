package bundle

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Kept is a bundle's manifest as it was read once, for those who look at all bundles with
// every request.
type Kept struct {
	Manifest Manifest // a copy: what its slices and maps hold must not be changed
	ID       string   // hex
	Modified time.Time
}

// manifests are those that were read, by directory, with the file that each was.
var manifests sync.Map

type keptManifest struct {
	file os.FileInfo
	Kept
}

// ReadKept is ReadManifest that reads a manifest again only where its file is another by
// now: manifests are replaced as a whole, by a file of its own time and size.
func ReadKept(dir string) (Kept, error) {
	st, err := os.Stat(filepath.Join(dir, ManifestFile))
	if err == nil {
		if k, ok := manifests.Load(dir); ok {
			k := k.(keptManifest)
			if os.SameFile(k.file, st) && k.file.Size() == st.Size() && k.file.ModTime().Equal(st.ModTime()) {
				return k.Kept, nil
			}
		}
	}
	m, err := ReadManifest(dir)
	if err != nil {
		manifests.Delete(dir)
		return Kept{}, err
	}
	id := m.ID()
	k := Kept{*m, hex.EncodeToString(id[:]), time.Time{}}
	if st != nil {
		k.Modified = st.ModTime().UTC()
		manifests.Store(dir, keptManifest{st, k})
	}
	return k, nil
}
