package tokenizer

// ChatOptions are the inputs of a chat template beside the messages. The zero value renders the messages alone.
type ChatOptions struct {
	AddGenerationPrompt bool           // end with the header of the answer to be generated
	Tools               []any          // JSON schemas of callable functions: Object, json.RawMessage or anything that encodes to an object
	Documents           []any          // for templates with retrieval: objects with title and text
	Kwargs              map[string]any // further variables of the template (enable_thinking, …)
	PlainText           bool           // control tokens written in the messages' fields stay text
	DefaultTemplate     string         // name of a built-in template (chatml, llama2, …), for a checkpoint that ships none
}

// Span is a range of tokens that belongs to one message.
type Span struct {
	Start, End int // token range [Start, End)
	Message    int // index of the message
}

// Chat is an encoded conversation.
type Chat struct {
	IDs           []int32
	Answers       []Span // one per assistant message, with its end-of-turn token, without its header and what follows
	AssistantMask []bool // tokens inside {% generation %}; nil where the template has none
}

// HasChatTemplate tells whether the checkpoint ships a chat template.
func (t *Tokenizer) HasChatTemplate() bool { panic("not yet") }

// RenderChat writes a conversation as the checkpoint's chat template does.
func (t *Tokenizer) RenderChat(messages []Message, o ChatOptions) (string, error) {
	panic("not yet")
}

// EncodeChat renders a conversation, encodes it, and finds the answers in it.
func (t *Tokenizer) EncodeChat(messages []Message, o ChatOptions) (Chat, error) {
	panic("not yet")
}
