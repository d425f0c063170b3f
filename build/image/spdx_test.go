package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/github/go-spdx/v2/spdxexp"
	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"
	"github.com/spdx/tools-golang/spdxlib"
)

var spdxFile = flag.String("spdx", "", "a list of an image's packages, as make image writes it, to be checked too")

func TestLicences(t *testing.T) {
	text := "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: GPL-2+\n\nFiles: lib\nLicense: Expat\n\nLicense: GPL-2+\n text\n"
	for want, list := range map[string][]string{
		"MIT AND GPL-2.0-or-later": licences(text),
		"(GPL-2.0-or-later OR (LicenseRef-Debian-Univ-Coimbra AND AFL-2.1)) AND LicenseRef-Debian-GPL-3-with-Bison-exception": {"GPL-2+ or Univ-Coimbra and AFL-2.1", "GPL-3+ with Bison exception"},
		"GPL-2.0-only WITH Linux-syscall-note AND GPL-3.0-only AND LGPL-2.1-or-later":                                         {"GPL-2 with Linux-syscall-note exception", "GPL-3.0", "LGPL-2.1+"},
	} {
		d := new(document)
		got, comment := d.expression(list, "pkg")
		if got != want || comment != "" {
			t.Errorf("%q, %q, not %q", got, comment, want)
		}
		if ok, bad := spdxexp.ValidateLicenses([]string{got}); !ok {
			t.Errorf("%q is no expression", bad)
		}
	}
	if licences("License: no machine reads this") != nil {
		t.Error("a file in another format was read")
	}
}

// FuzzExpression: whatever a package calls its licences, what comes of it can be read.
func FuzzExpression(f *testing.F) {
	for _, name := range []string{"GPL-2+", "GPL-2 with Linux-syscall-note exception OR BSD-3-Clause", "and X11", " or ", "BSD-3-clause-Cambridge with BINARY LIBRARY-LIKE PACKAGES exception", "__AUTO__", "é"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got, _ := new(document).expression([]string{name}, "pkg")
		if ok, _ := spdxexp.ValidateLicenses([]string{got}); !ok {
			t.Errorf("%q became %q", name, got)
		}
	})
}

// TestSPDX: the list of packages is what SPDX's own readers take, and each of its licences and
// ids is one that SPDX allows.
func TestSPDX(t *testing.T) {
	root := t.TempDir()
	const copyright = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: GPL-2+ or Artistic\n\nFiles: lib\nLicense: public-domain\n"
	if err := write(filepath.Join(root, "usr/share/doc/libc++6/copyright"), []byte(copyright), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, b := range boards {
		doc, err := spdx(b, options{version: "1.2.0+abc", epoch: "1700000000"}, root, []deb{{Name: "libc++6", Version: "1:2.0+3~4"}, {Name: "tzdata", Version: "1"}, {Name: "skerry", Version: "1.2.0"}})
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkSPDX(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.Contains(string(text), `"licenseDeclared":"(GPL-2.0-or-later OR LicenseRef-Debian-Artistic) AND LicenseRef-Debian-public-domain"`) || len(doc.Licences) != 2 {
			t.Errorf("%s: %s", name, text)
		}
	}
	if *spdxFile == "" {
		return
	}
	text, err := os.ReadFile(*spdxFile)
	if err == nil {
		err = checkSPDX(text)
	}
	if err != nil {
		t.Errorf("%s: %v", *spdxFile, err)
	}
}

var spdxID = regexp.MustCompile(`^(DocumentRef-[A-Za-z0-9.-]+:)?SPDXRef-[A-Za-z0-9.-]+$`)

func checkSPDX(text []byte) error {
	var d v2_3.Document
	if err := spdxjson.ReadInto(bytes.NewReader(text), &d); err != nil {
		return err
	}
	general, err := spdxjson.Read(bytes.NewReader(text))
	if err != nil {
		return err
	}
	if err := spdxlib.ValidateDocument(general); err != nil {
		return err
	}
	if described, err := spdxlib.GetDescribedPackageIDs(general); err != nil || len(described) != 1 {
		return fmt.Errorf("it describes %v: %v", described, err)
	}
	var own []string
	for _, l := range d.OtherLicenses {
		if l.LicenseIdentifier == "" || l.ExtractedText == "" || slices.Contains(own, l.LicenseIdentifier) {
			return fmt.Errorf("%+v is no licence", l)
		}
		own = append(own, l.LicenseIdentifier)
	}
	ids := map[string]bool{}
	for _, p := range d.Packages {
		id := "SPDXRef-" + string(p.PackageSPDXIdentifier)
		if ids[id] || !spdxID.MatchString(id) || p.PackageName == "" || p.PackageVersion == "" || p.PackageDownloadLocation == "" {
			return fmt.Errorf("%+v is no package, or twice", p)
		}
		ids[id] = true
		for _, l := range []string{p.PackageLicenseDeclared, p.PackageLicenseConcluded} {
			if l == noAssertion {
				continue
			}
			used, err := spdxexp.ExtractLicenses(l)
			if err != nil {
				return fmt.Errorf("%s: %q: %w", p.PackageName, l, err)
			}
			for _, u := range used {
				if strings.HasPrefix(u, "LicenseRef-") && !slices.Contains(own, u) {
					return fmt.Errorf("%s: no text of %s", p.PackageName, u)
				}
			}
		}
	}
	return nil
}
