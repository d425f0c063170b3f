package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
		declared, comment := expression(licences)
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

// ids of SPDX by Debian's short names, as far as the two differ.
var ids = map[string]string{
	"Apache-2.0": "Apache-2.0", "MIT": "MIT", "Expat": "MIT", "ISC": "ISC", "BSD-2-clause": "BSD-2-Clause", "BSD-3-clause": "BSD-3-Clause",
	"GPL-1+": "GPL-1.0-or-later", "GPL-2": "GPL-2.0-only", "GPL-2+": "GPL-2.0-or-later", "GPL-3": "GPL-3.0-only", "GPL-3+": "GPL-3.0-or-later",
	"LGPL-2": "LGPL-2.0-only", "LGPL-2+": "LGPL-2.0-or-later", "LGPL-2.1": "LGPL-2.1-only", "LGPL-2.1+": "LGPL-2.1-or-later",
	"LGPL-3": "LGPL-3.0-only", "LGPL-3+": "LGPL-3.0-or-later", "CC0-1.0": "CC0-1.0", "Zlib": "Zlib", "MPL-2.0": "MPL-2.0", "GFDL-1.3+": "GFDL-1.3-or-later",
}

// expression is the licences as SPDX has them where all of them have an id there; else they
// are named in a comment.
func expression(list []string) (declared, comment string) {
	var known []string
	for _, name := range list {
		id, ok := ids[name]
		if !ok {
			return noAssertion, "as the package's copyright file names them: " + strings.Join(list, ", ")
		}
		if !slices.Contains(known, id) {
			known = append(known, id)
		}
	}
	if len(known) == 0 {
		return noAssertion, "see its copyright file in /usr/share/doc of the image"
	}
	return strings.Join(known, " AND "), ""
}
