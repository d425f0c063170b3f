package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// document is what the image is made of, in JSON of SPDX 2.3 as far as it is used here.
type document struct {
	SPDXVersion       string         `json:"spdxVersion"`
	DataLicense       string         `json:"dataLicense"`
	SPDXID            string         `json:"SPDXID"`
	Name              string         `json:"name"`
	DocumentNamespace string         `json:"documentNamespace"`
	CreationInfo      creation       `json:"creationInfo"`
	Packages          []spdxPackage  `json:"packages"`
	Relationships     []relationship `json:"relationships"`
	// Licences are those that packages name and SPDX has no id of.
	Licences []extracted `json:"hasExtractedLicensingInfos,omitempty"`
}

type extracted struct {
	ID   string `json:"licenseId"`
	Name string `json:"name"`
	Text string `json:"extractedText"`
}

type creation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	SPDXID           string        `json:"SPDXID"`
	Name             string        `json:"name"`
	Version          string        `json:"versionInfo"`
	DownloadLocation string        `json:"downloadLocation"`
	FilesAnalyzed    bool          `json:"filesAnalyzed"`
	LicenseConcluded string        `json:"licenseConcluded"`
	LicenseDeclared  string        `json:"licenseDeclared"`
	LicenseComments  string        `json:"licenseComments,omitempty"`
	CopyrightText    string        `json:"copyrightText"`
	Purpose          string        `json:"primaryPackagePurpose,omitempty"`
	ExternalRefs     []externalRef `json:"externalRefs,omitempty"`
}

type externalRef struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type relationship struct {
	Element string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	Related string `json:"relatedSpdxElement"`
}

const (
	noAssertion = "NOASSERTION"
	imageID     = "SPDXRef-image"
)

// spdx describes the image by the packages that it is made of, whose copyright files are
// in root.
func spdx(b board, o options, root string, all []deb) (*document, error) {
	seconds, err := strconv.ParseInt(o.epoch, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("SOURCE_DATE_EPOCH is no time: %w", err)
	}
	d := &document{
		SPDXVersion: "SPDX-2.3", DataLicense: "CC0-1.0", SPDXID: "SPDXRef-DOCUMENT", Name: "skerry-" + b.name + "-" + o.version,
		DocumentNamespace: "urn:skerry:image:" + b.name + ":" + o.version,
		CreationInfo:      creation{time.Unix(seconds, 0).UTC().Format(time.RFC3339), []string{"Tool: skerry-build-image"}},
		Packages: []spdxPackage{{SPDXID: imageID, Name: "skerry-image-" + b.name, Version: o.version, DownloadLocation: noAssertion,
			LicenseConcluded: noAssertion, LicenseDeclared: noAssertion, CopyrightText: noAssertion, Purpose: "OPERATING-SYSTEM"}},
		Relationships: []relationship{{"SPDXRef-DOCUMENT", "DESCRIBES", imageID}},
	}
	for _, p := range all {
		if slices.Contains(unneeded, p.Name) {
			continue
		}
		licences, err := licencesOf(root, p)
		if err != nil {
			return nil, err
		}
		declared, comment := d.expression(licences, p.Name)
		id := "SPDXRef-" + notID.ReplaceAllString(p.Name, "-")
		one := spdxPackage{SPDXID: id, Name: p.Name, Version: p.Version, DownloadLocation: noAssertion, LicenseConcluded: noAssertion,
			LicenseDeclared: declared, LicenseComments: comment, CopyrightText: noAssertion}
		if p.Name != "skerry" {
			one.ExternalRefs = []externalRef{{"PACKAGE-MANAGER", "purl", fmt.Sprintf("pkg:deb/debian/%s@%s?arch=arm64&distro=%s", p.Name, strings.ReplaceAll(p.Version, "+", "%2B"), release)}}
		}
		d.Packages = append(d.Packages, one)
		d.Relationships = append(d.Relationships, relationship{imageID, "CONTAINS", id})
	}
	return d, nil
}

// licencesOf are the licences that a package's copyright file names, in Debian's short
// names; none where it is not in the machine-readable form, or another package's.
func licencesOf(root string, p deb) ([]string, error) {
	if p.Name == "skerry" {
		return []string{"Apache-2.0"}, nil
	}
	text, err := os.ReadFile(filepath.Join(root, "usr/share/doc", p.Name, "copyright"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return licences(string(text)), err
}

// licences are those of a copyright file of Debian in the format 1.0, each once.
func licences(text string) (list []string) {
	if !strings.Contains(text, "copyright-format/1.0") {
		return nil
	}
	for line := range strings.Lines(text) {
		name, ok := strings.CutPrefix(line, "License:")
		if name = strings.TrimSpace(name); ok && name != "" && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// ids of SPDX by Debian's short names in lower case, as far as the two differ.
var ids = map[string]string{
	"expat": "MIT", "mit/x11": "MIT", "x11": "X11", "zlib": "Zlib", "isc": "ISC", "0bsd": "0BSD", "apache-2": "Apache-2.0", "apache-2.0": "Apache-2.0",
	"bsd-2-clause": "BSD-2-Clause", "bsd-3-clause": "BSD-3-Clause", "bsd-4-clause": "BSD-4-Clause", "bsd-4-clause-uc": "BSD-4-Clause-UC",
	"cc0": "CC0-1.0", "cc0-1.0": "CC0-1.0", "cc-by-3.0": "CC-BY-3.0", "cc-by-sa-3.0": "CC-BY-SA-3.0", "mpl-1.1": "MPL-1.1", "mpl-2.0": "MPL-2.0",
	"afl-2.0": "AFL-2.0", "afl-2.1": "AFL-2.1", "beerware": "Beerware", "bsl-1.0": "BSL-1.0", "fsfap": "FSFAP", "fsfullr": "FSFULLR", "latex2e": "Latex2e",
	"bzip2-1.0.6": "bzip2-1.0.6", "unicode-dfs-2016": "Unicode-DFS-2016", "ms-pl": "MS-PL", "sleepycat": "Sleepycat",
	"gpl-2 with linux-syscall-note exception": "GPL-2.0-only WITH Linux-syscall-note", "apache-2.0 with llvm exception": "Apache-2.0 WITH LLVM-exception",
	"gfdl-niv-1.3": "GFDL-1.3-no-invariants-only", "gfdl-niv-1.3+": "GFDL-1.3-no-invariants-or-later",
}

// gnu are the names of the licences of GNU, whose versions Debian writes in several ways.
var gnu = regexp.MustCompile(`^(l?gpl|gfdl)-([123](?:\.[0-3])?)(\+|-only|-or-later)?$`)

// versions that they have.
var versions = map[string][]string{"gpl": {"1.0", "2.0", "3.0"}, "lgpl": {"2.0", "2.1", "3.0"}, "gfdl": {"1.1", "1.2", "1.3"}}

// idOf is SPDX's id of a licence in Debian's name, "" where it has none.
func idOf(name string) string {
	name = strings.ToLower(name)
	m := gnu.FindStringSubmatch(name)
	if m == nil {
		return ids[name]
	}
	version := m[2]
	if !strings.Contains(version, ".") {
		version += ".0"
	}
	if !slices.Contains(versions[m[1]], version) {
		return ""
	}
	later := "-only"
	if m[3] == "+" || m[3] == "-or-later" {
		later = "-or-later"
	}
	return strings.ToUpper(m[1]) + "-" + version + later
}

var notRef = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// expression is the licences of a package as SPDX has them. One that it has no id of is named
// in the document.
func (d *document) expression(list []string, pkg string) (declared, comment string) {
	if len(list) == 0 {
		return noAssertion, "see its copyright file in /usr/share/doc of the image"
	}
	var terms []string
	for _, name := range list {
		if term := d.term(name, pkg); !slices.Contains(terms, term) {
			terms = append(terms, term)
		}
	}
	return strings.Join(terms, " AND "), ""
}

// term is one of them, which may be a choice or a sum of several.
func (d *document) term(name, pkg string) string {
	name = strings.Join(strings.Fields(strings.TrimPrefix(name, "and ")), " ")
	for _, by := range []string{" or ", " and "} {
		parts := strings.Split(strings.ReplaceAll(name, " OR ", " or "), by)
		if len(parts) == 1 {
			continue
		}
		for i, p := range parts {
			parts[i] = d.term(p, pkg)
		}
		return "(" + strings.Join(parts, strings.ToUpper(by)) + ")"
	}
	if id := idOf(name); id != "" {
		return id
	}
	id := "LicenseRef-Debian-" + strings.ReplaceAll(notRef.ReplaceAllString(name, "-"), "--", "-")
	if !slices.ContainsFunc(d.Licences, func(e extracted) bool { return e.ID == id }) {
		d.Licences = append(d.Licences, extracted{id, name, "Its text is in /usr/share/doc/" + pkg + "/copyright of the image, under the name " + name + "."})
	}
	return id
}
