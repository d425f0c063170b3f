package cli

import "skerry/appliance/engine/gpu"

// GPUFlag is a flag of the verbs that compute.
type GPUFlag struct {
	GPULayers gpu.Layers `name:"gpu-layers" help:"Put so many of a model's last layers on the GPU: a number, all, or auto, which is as many as its memory holds. Without a GPU that is none." default:"auto" placeholder:"N"`
}
