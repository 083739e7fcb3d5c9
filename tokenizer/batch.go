package tokenizer

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// EncodeBatch encodes many texts on all cores; the result is in the order of the texts.
func (t *Tokenizer) EncodeBatch(texts []string, o Options) [][]int32 {
	out := make([][]int32, len(texts))
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(texts)) {
		group.Go(func() {
			for {
				i := int(next.Add(1)) - 1 // one by one: texts differ much in length
				if i >= len(texts) {
					return
				}
				out[i] = t.encodeIDs(texts[i], o)
			}
		})
	}
	group.Wait()
	return out
}
