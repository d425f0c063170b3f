// Package board tells which board this is and how it feels: its name from the
// device tree, its sensors from /sys and /proc, all below a root that tests point
// at a fixture.
//
// A sensor that the board does not have is ErrAbsent, and no failure. Nothing here
// runs a command or needs to be root.
package board
