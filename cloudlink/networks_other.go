//go:build !linux

package cloudlink

func kernelNetworks() Networks { return noNetworks{} }
