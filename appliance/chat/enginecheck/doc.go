// Package enginecheck holds the tests of chat that need llama.cpp. They are apart from
// chat's own because fuzzing rebuilds all that a package's tests import.
package enginecheck
