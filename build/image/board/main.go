// Command board is the image's own helper: it takes in what its owner has put on the boot
// partition, shows where the page is and the key to it, and copies models from USB sticks.
// systemd's units of the image start it; see README.md of build/image.
package main

import (
	"fmt"
	"os"
)

// verbs by their names on the command line.
var verbs = map[string]func(b *board, args []string) error{
	"first":    func(b *board, _ []string) error { return b.first() },
	"welcome":  func(b *board, _ []string) error { return b.welcome() },
	"enrol":    func(b *board, _ []string) error { return b.enrol() },
	"host-key": func(b *board, _ []string) error { return b.hostKey() },
	"usb": func(b *board, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("usb wants the device of a stick")
		}
		return b.usb(args[0])
	},
}

func main() {
	if len(os.Args) < 2 || verbs[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: board first | welcome | enrol | host-key | usb DEVICE (systemd's units of the image say which)")
		os.Exit(2)
	}
	if err := verbs[os.Args[1]](newBoard(), os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "board:", err)
		os.Exit(1)
	}
}
