package arch

import "fmt"

// table collects parameters in the order of the network.
type table struct {
	c    *Config
	list []Parameter
}

// parameters lists every tensor of the network that c describes.
func parameters(c *Config) []Parameter {
	t := table{c: c}
	n, h := c.Names, int64(c.HiddenSize)
	t.add(n.Embedding+".weight", Embedding, int64(c.VocabSize), h)
	if n.Positions != "" {
		t.add(n.Positions+".weight", Embedding, int64(c.MaxPositions), h)
	}
	t.norm(n.EmbeddingNorm, h)
	for layer := range c.NumLayers {
		t.layer(fmt.Sprintf(n.Layer, layer), c.Layers[layer])
	}
	t.norm(n.Norm, h)
	switch {
	case c.Head.Score:
		t.add(n.Head+".weight", HeadWeight, 1, h)
	case !c.TieHead:
		t.add(n.Head+".weight", HeadWeight, int64(c.VocabSize), h)
	}
	if c.Head.Bias {
		t.add(n.Head+".bias", Bias, int64(c.VocabSize))
	}
	return t.list
}

func (t *table) layer(at string, l Layer) {
	c, n, h := t.c, t.c.Names, int64(t.c.HiddenSize)
	t.norm(within(at, n.AttentionNorm), h)
	if c.Latent != nil {
		t.latent(at)
	} else {
		t.attention(at)
	}
	t.norm(within(at, n.AttentionOutNorm), h)
	t.norm(within(at, n.MLPNorm), h)
	if l.Experts {
		t.experts(at)
	} else {
		t.mlp(within(at, n.Gate), within(at, n.Up), within(at, n.Down), within(at, n.GateUp), int64(c.IntermediateSize))
	}
	t.norm(within(at, n.MLPOutNorm), h)
}

func (t *table) attention(at string) {
	c, n, h := t.c, t.c.Names, int64(t.c.HiddenSize)
	q, kv := int64(c.NumHeads*c.HeadDim), int64(c.NumKVHeads*c.HeadDim)
	if n.QKV != "" {
		t.linear(at+n.QKV, q+2*kv, h, c.Attention.QKVBias)
	} else {
		t.linear(at+n.Q, q, h, c.Attention.QKVBias)
		t.linear(at+n.K, kv, h, c.Attention.QKVBias)
		t.linear(at+n.V, kv, h, c.Attention.QKVBias)
	}
	t.linear(at+n.O, h, q, c.Attention.OutBias)
	switch c.Attention.QKNorm {
	case SharedQKNorm:
		t.norm(at+n.QNorm, int64(c.HeadDim))
		t.norm(at+n.KNorm, int64(c.HeadDim))
	case HeadQKNorm:
		t.norm(at+n.QNorm, int64(c.NumHeads), int64(c.HeadDim))
		t.norm(at+n.KNorm, int64(c.NumKVHeads), int64(c.HeadDim))
	case WholeQKNorm:
		t.norm(at+n.QNorm, q)
		t.norm(at+n.KNorm, kv)
	}
}

func (t *table) latent(at string) {
	c, n, h, l := t.c, t.c.Names, int64(t.c.HiddenSize), t.c.Latent
	heads := int64(c.NumHeads)
	q := heads * int64(l.Plain+l.Turning)
	if l.QueryRank > 0 {
		t.linear(at+n.QueryDown, int64(l.QueryRank), h, c.Attention.QKVBias)
		t.norm(at+n.QueryDownNorm, int64(l.QueryRank))
		t.linear(at+n.QueryUp, q, int64(l.QueryRank), false)
	} else {
		t.linear(at+n.Q, q, h, false)
	}
	t.linear(at+n.KVDown, int64(l.Rank+l.Turning), h, c.Attention.QKVBias)
	t.norm(at+n.KVDownNorm, int64(l.Rank))
	t.linear(at+n.KVUp, heads*int64(l.Plain+c.ValueDim), int64(l.Rank), false)
	t.linear(at+n.O, h, heads*int64(c.ValueDim), c.Attention.OutBias)
}

// mlp is gated where gate or gateUp has a name.
func (t *table) mlp(gate, up, down, gateUp string, inner int64) {
	h, bias := int64(t.c.HiddenSize), t.c.MLP.Bias
	if gateUp != "" {
		t.linear(gateUp, 2*inner, h, bias)
	} else {
		if gate != "" {
			t.linear(gate, inner, h, bias)
		}
		t.linear(up, inner, h, bias)
	}
	t.linear(down, h, inner, bias)
}

func (t *table) experts(at string) {
	n, h, e := t.c.Names, int64(t.c.HiddenSize), t.c.Experts
	t.add(at+n.Router+".weight", Projection, int64(e.Count), h)
	if e.Correction {
		t.add(at+n.Correction, Buffer, int64(e.Count))
	}
	for i := range e.Count {
		expert := at + fmt.Sprintf(n.Expert, i)
		first := len(t.list)
		t.mlp(expert+n.ExpertGate, expert+n.ExpertUp, expert+n.ExpertDown, "", int64(e.IntermediateSize))
		for i := range t.list[first:] {
			t.list[first+i].Role = Expert
		}
	}
	if e.SharedSize > 0 {
		t.mlp(at+n.SharedGate, at+n.SharedUp, at+n.SharedDown, "", int64(e.SharedSize))
	}
	if e.SharedGate {
		t.add(at+n.SharedSwitch+".weight", Projection, 1, h)
	}
}

func (t *table) add(name string, role Role, shape ...int64) {
	t.list = append(t.list, Parameter{Name: name, Shape: shape, Role: role})
}

// norm adds the weight of a normalisation and its bias; a name of "" is a norm that the family does not have.
func (t *table) norm(module string, shape ...int64) {
	if module == "" {
		return
	}
	t.add(module+".weight", NormWeight, shape...)
	if t.c.Norm.Bias {
		t.add(module+".bias", Bias, shape...)
	}
}

func (t *table) linear(module string, out, in int64, bias bool) {
	if t.c.Names.InputFirst {
		t.add(module+".weight", Projection, in, out)
	} else {
		t.add(module+".weight", Projection, out, in)
	}
	if bias {
		t.add(module+".bias", Bias, out)
	}
}

// within is a module's name in the layer named at, "" for a module without a name.
func within(at, module string) string {
	if module == "" {
		return ""
	}
	return at + module
}
