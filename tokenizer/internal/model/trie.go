package model

// trie holds strings by their bytes. A node's children are in one hash table for all nodes.
type trie struct {
	keys   []uint32 // node<<8 | byte, plus one; 0 is empty
	nodes  []uint32
	values []int32 // of each node: the id of the string that ends there, −1 if none
	shift  uint
}

func newTrie() *trie {
	return &trie{keys: make([]uint32, 1<<10), nodes: make([]uint32, 1<<10), values: []int32{-1}, shift: 32 - 10}
}

func (t *trie) slot(key uint32) uint32 { return key * 0x9E3779B1 >> t.shift }

// child is the node below another, 0 if there is none: the root is nobody's child.
func (t *trie) child(node uint32, b byte) uint32 {
	key := node<<8 | uint32(b)
	for i := t.slot(key); ; i = (i + 1) & uint32(len(t.keys)-1) {
		switch t.keys[i] {
		case key + 1:
			return t.nodes[i]
		case 0:
			return 0
		}
	}
}

// add stores a string; of one stored twice the last id counts. It returns its node.
func (t *trie) add(s string, id int32) uint32 {
	node := t.path(s)
	t.values[node] = id
	return node
}

// path makes the nodes of a string.
func (t *trie) path(s string) uint32 {
	node := uint32(0)
	for i := range len(s) {
		next := t.child(node, s[i])
		if next == 0 {
			next = uint32(len(t.values))
			t.values = append(t.values, -1)
			if 2*len(t.values) > len(t.keys) {
				t.grow()
			}
			t.insert(node<<8|uint32(s[i]), next)
		}
		node = next
	}
	return node
}

func (t *trie) insert(key, node uint32) {
	i := t.slot(key)
	for t.keys[i] != 0 {
		i = (i + 1) & uint32(len(t.keys)-1)
	}
	t.keys[i], t.nodes[i] = key+1, node
}

func (t *trie) grow() {
	keys, nodes := t.keys, t.nodes
	t.keys, t.nodes = make([]uint32, 2*len(keys)), make([]uint32, 2*len(keys))
	t.shift--
	for i, key := range keys {
		if key != 0 {
			t.insert(key-1, nodes[i])
		}
	}
}

// maxTrieBytes bounds the text of a vocabulary, as a node's number is kept in 24 bits.
const maxTrieBytes = 1<<24 - 2
