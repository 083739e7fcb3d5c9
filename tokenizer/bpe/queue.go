package bpe

// candidate is a pair that may become a token, with the words in which it was met. A pair that appears anew after it was
// queued is queued once more, with those words alone.
type candidate struct {
	pair  pair
	count int64 // when it was queued or last looked at
	turn  int   // in which it was queued
	words []int32
}

// queue is a heap with the most frequent pair on top, of equally frequent ones that with the lower ids, then the older.
type queue []candidate

func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool {
	switch {
	case q[i].count != q[j].count:
		return q[i].count > q[j].count
	case q[i].pair != q[j].pair:
		return q[i].pair < q[j].pair
	}
	return q[i].turn < q[j].turn
}

func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push appends a candidate for package heap.
func (q *queue) Push(x any) { *q = append(*q, x.(candidate)) }

// Pop takes the last candidate for package heap.
func (q *queue) Pop() any {
	last := len(*q) - 1
	top := (*q)[last]
	(*q)[last] = candidate{} // or its words would stay in memory
	*q = (*q)[:last]
	return top
}
