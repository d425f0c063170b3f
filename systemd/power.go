package systemd

import (
	"context"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"
)

// Power has systemd-logind (org.freedesktop.login1) reboot the machine or power it
// off, where its policy lets this process.
func Power(reboot bool) error {
	bus, err := dbus.ConnectSystemBus()
	if err != nil {
		return fmt.Errorf("the system's message bus does not answer: %w", err)
	}
	defer bus.Close()
	method := "org.freedesktop.login1.Manager.PowerOff"
	if reboot {
		method = "org.freedesktop.login1.Manager.Reboot"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	const interactive = false
	return bus.Object("org.freedesktop.login1", "/org/freedesktop/login1").CallWithContext(ctx, method, 0, interactive).Err
}
