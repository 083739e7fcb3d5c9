package quality

// Model scores texts. It is for concurrent use.
type Model struct {
	header  header
	weights []float32
	bias    float64
	extract *extractor
}

// header says what a model was made of; it is saved with it.
type header struct {
	Config Config `json:"config"`
	Good   int    `json:"good"` // examples
	Bad    int    `json:"bad"`
}

func newModel(h header, weights []float32, bias float64) *Model {
	return &Model{h, weights, bias, newExtractor(h.Config.Bits)}
}

// Config is the configuration with which the model was trained, defaults filled in.
func (m *Model) Config() Config { return m.header.Config }

// Examples are the numbers of good and bad texts that the model was trained on.
func (m *Model) Examples() (good, bad int) { return m.header.Good, m.header.Bad }

// Score is the probability, in [0, 1], that a text is good. A text without a token has the score 0.
func (m *Model) Score(text string) (score float64) {
	m.extract.with(text, func(v []feature) {
		if len(v) > 0 {
			score = sigmoid(margin(m.weights, m.bias, v))
		}
	})
	return score
}
