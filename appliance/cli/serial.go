package cli

import (
	"fmt"
	"os"
	"syscall"

	"go.bug.st/serial"
)

// OpenSerial opens a serial line and sets it to raw bytes at a speed, 8N1. The
// library sets it up; a file reads and writes it, whose calls end on Close.
func OpenSerial(dev string, baud int) (*os.File, error) {
	f, err := os.OpenFile(dev, os.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	port, err := serial.Open(dev, &serial.Mode{BaudRate: baud})
	if err == nil {
		err = port.Close()
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%w (is it a serial line?)", err)
	}
	return f, nil
}
