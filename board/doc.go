// Package board tells which board this is and how it feels: its name from the
// device tree, its sensors from /sys and /proc, all below a root that tests point
// at a fixture.
//
// Each sensor is declared in a file of its own, which is all that is needed to add
// one: status, page, console, metrics and health range over Sensors. A sensor that
// the board does not have is ErrNoData, and no failure. Nothing here runs a command
// or needs to be root.
package board
