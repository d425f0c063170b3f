// Package loadtest holds the tests that load what package bundle writes into
// llama.cpp. They lie apart so that bundle and its tests stay free of cgo.
package loadtest
