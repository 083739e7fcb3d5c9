package rollout

// Kept are what an objective has made of the micro-batches of a step, for the steps that are taken on the same answers.
type Kept[G any] struct {
	Iterations int // steps on the same answers

	groups []G
	next   int
}

// Again is what was made of a micro-batch in the step before; nil where new answers are due.
func (k *Kept[G]) Again(step, micro int) *G {
	k.next = 0
	if step%k.Iterations == 0 || micro >= len(k.groups) { // a run that was resumed between has none
		return nil
	}
	return &k.groups[micro]
}

// Put keeps what was made of a micro-batch.
func (k *Kept[G]) Put(micro int, group G) { k.groups = append(k.groups[:micro], group) }

// Next is that of the micro-batch whose loss is taken now.
func (k *Kept[G]) Next() *G {
	k.next++
	return &k.groups[k.next-1]
}
