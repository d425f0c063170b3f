package systemd

import (
	"context"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"
)

// The objects of the message bus that are asked here.
const (
	login1   = "org.freedesktop.login1"
	systemd1 = "org.freedesktop.systemd1"
)

// Power has systemd-logind (org.freedesktop.login1) reboot the machine or power it
// off, where its policy lets this process.
func Power(reboot bool) error {
	const interactive = false
	method := ".Manager.PowerOff"
	if reboot {
		method = ".Manager.Reboot"
	}
	return call(login1, "/org/freedesktop/login1", method, interactive)
}

// RebootWith reboots the machine with an argument of reboot(2), as a boot loader
// understands it; "" is Power's reboot.
func RebootWith(argument string) error {
	if argument != "" {
		if err := call(login1, "/org/freedesktop/login1", ".Manager.SetRebootParameter", argument); err != nil {
			return fmt.Errorf("the argument of the reboot cannot be set: %w", err)
		}
	}
	return Power(true)
}

// RestartUnit has systemd restart a unit, or start it where it does not run. It returns
// before that is done.
func RestartUnit(name string) error {
	return call(systemd1, "/org/freedesktop/systemd1", ".Manager.RestartUnit", name, "replace")
}

func call(object, path, method string, args ...any) error {
	bus, err := dbus.ConnectSystemBus()
	if err != nil {
		return fmt.Errorf("the system's message bus does not answer: %w", err)
	}
	defer bus.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return bus.Object(object, dbus.ObjectPath(path)).CallWithContext(ctx, object+method, 0, args...).Err
}
