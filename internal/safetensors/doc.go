// Package safetensors reads and writes tensors in the safetensors format, one file or a checkpoint of several shards.
//
//	file   = length header data
//	length = 8 bytes, little endian, at most 100,000,000
//	header = {"NAME": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, …, "__metadata__": {"k": "v"}}
//	data   = the tensors, row major and little endian, one after the other without a hole
//
//	checkpoint, err := safetensors.OpenModel(dir)
//	defer checkpoint.Close()
//	weight, ok := checkpoint.Tensor("model.norm.weight")
//
// A file comes from strangers, so all of the header is checked before a tensor is handed out: every range lies in the
// file, fits its shape and overlaps no other; a key given twice is refused. A failure is an *Error with a Class.
//
// The format cannot tell that the data is what was written: zeros left by a power cut are a valid file. A writer of
// checkpoints keeps the digests that Write returns; a reader compares them with VerifySHA256.
//
// Data is mapped, not read. Whoever shortens a mapped file in place makes the next access to the lost part fatal for
// the process (SIGBUS); File.Read goes by read calls and returns an error instead. Nothing here writes in place: the
// writer renames a finished temporary file over the old one, so even the file that is mapped can be saved over.
package safetensors
