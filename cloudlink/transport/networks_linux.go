package transport

import (
	"context"
	"fmt"

	"github.com/vishvananda/netlink"
)

// KernelNetworks listens to the kernel's routing socket.
func KernelNetworks() Networks { return netlinkNetworks{} }

type netlinkNetworks struct{}

func (netlinkNetworks) Watch(ctx context.Context, changed func()) error {
	done := make(chan struct{})
	defer close(done)
	addrs := make(chan netlink.AddrUpdate, 64)
	if err := netlink.AddrSubscribe(addrs, done); err != nil {
		return fmt.Errorf("subscribe to addresses: %w", err)
	}
	routes := make(chan netlink.RouteUpdate, 64)
	if err := netlink.RouteSubscribe(routes, done); err != nil {
		return fmt.Errorf("subscribe to routes: %w", err)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-addrs:
			if !ok {
				return fmt.Errorf("the kernel's address socket closed")
			}
		case _, ok := <-routes:
			if !ok {
				return fmt.Errorf("the kernel's route socket closed")
			}
		}
		changed()
	}
}
