// Package peer runs llama.cpp as its own people's packages ship it, to compare
// this program's speed and tokens with: npm's @node-llama-cpp/linux-x64.
//
// The package has shared libraries and no headers; node-llama-cpp of the same
// version carries the sources they were built from, as a git bundle. Install
// takes the libraries from the one and the headers from the other and compiles a
// driver of about 150 lines (driver/peer.c) against both. A Runner is one process
// of that driver. It takes the times itself, round llama_decode, so that pipes and
// scheduling of this process are no part of them. A Speculator is one of a second driver,
// driver/speculate.cpp, whose drafts are those of the package's own speculative decoding.
//
// Not llama.cpp's release files: the libraries are node-llama-cpp's build of an
// upstream release, with one patch of theirs to the model loader.
package peer

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
)

// ErrUnavailable is wrapped where the peer cannot be installed here: another
// platform, a tool that is missing, no network. A test or benchmark then leaves
// the comparison out and says why.
var ErrUnavailable = errors.New("the llama.cpp peer cannot be had")

// What is installed. The two packages must be of one version: the headers are
// the libraries'.
const (
	Version      = "3.22.1" // of both packages
	LlamaVersion = "0.5.0"  // of the llama.cpp they were built from
)

var (
	libraries = Package{"@node-llama-cpp/linux-x64", Version,
		"5uCCDNqWCNfaAm8aR/Uzxbo4HBpKgNF91kCHPepKhgMgV2OAmatoefbOlMihsqCiH2Od35E/eUHQCFbfRBJuOg==", 10824547}
	// Sources is the package with llama.cpp's sources, as package/llama/gitRelease.bundle.
	Sources = Package{"node-llama-cpp", Version,
		"bltIipuWmc123H7tMIgDGKSsSrhmhlQYeVUC48XTjVW7XGJJiJJyCdlTMzQ/LiWoPkGDpcL4FviDpgw7qfTiDw==", 35735663}
)

// Peer is an installed llama.cpp.
type Peer struct{ dir string }

// Install returns the peer, installing it under cacheDir/peer unless it is there:
// npm downloads the pinned packages (46 MB), which are checked by sha512; nothing
// of them is run by npm. cacheDir is what fetch.CacheDir returns. report is
// called with what is being done and bytes of how many, and may be nil. Errors
// wrap ErrUnavailable where the peer cannot be had here.
func Install(ctx context.Context, cacheDir string, report func(step string, done, total int64)) (*Peer, error) {
	if report == nil {
		report = func(string, int64, int64) {}
	}
	dir := filepath.Join(cacheDir, "peer", Version+"-"+driverKey())
	p := &Peer{dir}
	if p.complete() {
		return p, nil
	}
	if err := available(); err != nil {
		return nil, err
	}
	if err := install(ctx, cacheDir, dir, report); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("installing the llama.cpp peer: %w", err)
	}
	return p, nil
}

// Name says what the peer is and where it comes from.
func (p *Peer) Name() string {
	return fmt.Sprintf("llama.cpp v%s (npm %s %s)", LlamaVersion, libraries.Name, Version)
}

func (p *Peer) libs() string   { return filepath.Join(p.dir, "lib") }
func (p *Peer) driver() string { return filepath.Join(p.dir, "peer") }

func (p *Peer) speculator() string { return filepath.Join(p.dir, "speculate") }
