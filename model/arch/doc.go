// Package arch describes a decoder-only transformer as data: what a checkpoint's config.json says, checked and complete, and the
// table of the parameters that follow from it.
//
//	config, err := arch.Read("checkpoint/config.json")
//	fmt.Println(config.NumLayers, config.NumParameters())
//
// It is plain Go and needs no libtorch, so that memory can be estimated and a config checked on any machine. Package model builds
// the network from it.
//
// A family (llama, qwen2, …) is one small file that maps its fields and weight names to Config. A field of config.json that would
// change the numbers and is not honoured is an error that names it; fields that only describe (initializer_range, use_cache, …)
// and fields nobody knows are passed over and kept for saving.
package arch
