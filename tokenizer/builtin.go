package tokenizer

var (
	bosSlot = Slot{Special: "bos_token"}
	eosSlot = Slot{Special: "eos_token"}
)

func textSlots(texts ...string) []Slot {
	out := make([]Slot, len(texts))
	for i, text := range texts {
		out[i] = Slot{Text: text}
	}
	return out
}

// contentEOS is the answer as most templates write it.
var contentEOS = []Slot{{Text: contentSlot}, eosSlot}

// chatML is the layout of OpenAI's ChatML.
var chatML = SlotTemplate{
	System:     textSlots("<|im_start|>system\n{{content}}<|im_end|>\n"),
	User:       textSlots("<|im_start|>user\n{{content}}<|im_end|>\n<|im_start|>assistant\n"),
	Assistant:  textSlots("{{content}}<|im_end|>\n"),
	StopWords:  []string{"<|im_end|>"},
	ReplaceEOS: true,
}

func chatMLWith(system string, stop ...string) SlotTemplate {
	s := chatML
	s.DefaultSystem, s.StopWords = system, stop
	return s
}

var llama2 = SlotTemplate{
	System:            textSlots("<<SYS>>\n{{content}}\n<</SYS>>\n\n"),
	User:              []Slot{bosSlot, {Text: "[INST] {{content}} [/INST]"}},
	Assistant:         contentEOS,
	SystemInFirstUser: true,
}

func llama2With(system string) SlotTemplate {
	s := llama2
	s.DefaultSystem = system
	return s
}

// builtIns are the templates by LLaMA-Factory's names.
var builtIns = map[string]SlotTemplate{
	"alpaca": {
		System:        textSlots(contentSlot),
		User:          textSlots("### Instruction:\n{{content}}\n\n### Response:\n"),
		Assistant:     []Slot{{Text: contentSlot}, eosSlot, {Text: "\n\n"}},
		DefaultSystem: "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n",
	},
	"atom": {
		System:    textSlots(contentSlot),
		User:      []Slot{bosSlot, {Text: "Human: {{content}}\n"}, eosSlot, bosSlot, {Text: "Assistant:"}},
		Assistant: []Slot{{Text: "{{content}}\n"}, eosSlot},
	},
	"baichuan": {
		System:       textSlots(contentSlot),
		User:         []Slot{{Token: "<reserved_102>"}, {Text: contentSlot}, {Token: "<reserved_103>"}},
		Assistant:    textSlots(contentSlot),
		EfficientEOS: true,
	},
	"baichuan2": {
		System:       textSlots(contentSlot),
		User:         textSlots("<reserved_106>{{content}}<reserved_107>"),
		Assistant:    textSlots(contentSlot),
		EfficientEOS: true,
	},
	"belle": {
		Prefix:    []Slot{bosSlot},
		System:    textSlots(contentSlot),
		User:      textSlots("Human: {{content}}\n\nBelle: "),
		Assistant: []Slot{{Text: contentSlot}, eosSlot, {Text: "\n\n"}},
	},
	"chatglm3": {
		Prefix:       []Slot{{Token: "[gMASK]"}, {Token: "sop"}},
		System:       []Slot{{Token: "<|system|>"}, {Text: "\n"}, {Text: contentSlot}},
		User:         []Slot{{Token: "<|user|>"}, {Text: "\n"}, {Text: contentSlot}, {Token: "<|assistant|>"}},
		Assistant:    textSlots("\n", contentSlot),
		StopWords:    []string{"<|user|>", "<|observation|>"},
		EfficientEOS: true,
	},
	"chatml":    chatMLWith("", "<|im_end|>", "<|im_start|>"),
	"chatml_de": chatMLWith("Du bist ein freundlicher und hilfsbereiter KI-Assistent.", "<|im_end|>", "<|im_start|>"),
	"deepseek": {
		Prefix:    []Slot{bosSlot},
		System:    textSlots("{{content}}\n\n"),
		User:      textSlots("User: {{content}}\n\nAssistant:"),
		Assistant: contentEOS,
	},
	"deepseek3": {
		Prefix:    []Slot{bosSlot},
		System:    textSlots(contentSlot),
		User:      textSlots("<｜User｜>{{content}}<｜Assistant｜>"),
		Assistant: contentEOS,
	},
	"default": {
		System:    []Slot{{Text: "System: {{content}}"}, eosSlot, {Text: "\n"}},
		User:      []Slot{{Text: "Human: {{content}}"}, eosSlot, {Text: "\nAssistant:"}},
		Assistant: []Slot{{Text: contentSlot}, eosSlot, {Text: "\n"}},
	},
	"empty": {
		System:    textSlots(contentSlot),
		User:      textSlots(contentSlot),
		Assistant: textSlots(contentSlot),
	},
	"falcon": {
		System:       textSlots(contentSlot),
		User:         textSlots("User: {{content}}\nFalcon:"),
		Assistant:    textSlots("{{content}}\n"),
		EfficientEOS: true,
	},
	"gemma": {
		Prefix:            []Slot{bosSlot},
		System:            textSlots("{{content}}\n\n"),
		User:              textSlots("<start_of_turn>user\n{{content}}<end_of_turn>\n<start_of_turn>model\n"),
		Assistant:         textSlots("{{content}}<end_of_turn>\n"),
		StopWords:         []string{"<end_of_turn>"},
		ReplaceEOS:        true,
		SystemInFirstUser: true,
	},
	"glm4": {
		Prefix:       textSlots("[gMASK]<sop>"),
		System:       textSlots("<|system|>\n{{content}}"),
		User:         textSlots("<|user|>\n{{content}}<|assistant|>"),
		Assistant:    textSlots("\n{{content}}"),
		StopWords:    []string{"<|user|>", "<|observation|>"},
		EfficientEOS: true,
	},
	"llama2":    llama2,
	"llama2_zh": llama2With("You are a helpful assistant. 你是一个乐于助人的助手。"),
	"llama3": {
		Prefix:     []Slot{bosSlot},
		System:     textSlots("<|start_header_id|>system<|end_header_id|>\n\n{{content}}<|eot_id|>"),
		User:       textSlots("<|start_header_id|>user<|end_header_id|>\n\n{{content}}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"),
		Assistant:  textSlots("{{content}}<|eot_id|>"),
		StopWords:  []string{"<|eot_id|>", "<|eom_id|>"},
		ReplaceEOS: true,
	},
	"mistral": {
		Prefix:            []Slot{bosSlot},
		System:            textSlots("{{content}}\n\n"),
		User:              textSlots("[INST] {{content}}[/INST]"),
		Assistant:         []Slot{{Text: " {{content}}"}, eosSlot},
		SystemInFirstUser: true,
	},
	"orion": {
		Prefix:    []Slot{bosSlot},
		System:    textSlots(contentSlot),
		User:      []Slot{{Text: "Human: {{content}}\n\nAssistant: "}, eosSlot},
		Assistant: contentEOS,
	},
	"phi": {
		System:     textSlots("<|system|>\n{{content}}<|end|>\n"),
		User:       textSlots("<|user|>\n{{content}}<|end|>\n<|assistant|>\n"),
		Assistant:  textSlots("{{content}}<|end|>\n"),
		StopWords:  []string{"<|end|>"},
		ReplaceEOS: true,
	},
	"phi4": {
		System:     textSlots("<|im_start|>system<|im_sep|>{{content}}<|im_end|>"),
		User:       textSlots("<|im_start|>user<|im_sep|>{{content}}<|im_end|><|im_start|>assistant<|im_sep|>"),
		Assistant:  textSlots("{{content}}<|im_end|>"),
		StopWords:  []string{"<|im_end|>"},
		ReplaceEOS: true,
	},
	"qwen": chatMLWith("You are Qwen, created by Alibaba Cloud. You are a helpful assistant.", "<|im_end|>"),
	"solar": {
		System:       textSlots("### System:\n{{content}}\n\n"),
		User:         textSlots("### User:\n{{content}}\n\n### Assistant:\n"),
		Assistant:    textSlots(contentSlot),
		EfficientEOS: true,
	},
	"vicuna": {
		System:        textSlots(contentSlot),
		User:          textSlots("USER: {{content}} ASSISTANT:"),
		Assistant:     contentEOS,
		DefaultSystem: "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's questions.",
	},
	"xverse": {
		System:    textSlots(contentSlot),
		User:      textSlots("Human: {{content}}\n\nAssistant: "),
		Assistant: contentEOS,
	},
	"yi": chatMLWith("", "<|im_end|>"),
	"zephyr": {
		System:        []Slot{{Text: "<|system|>\n{{content}}"}, eosSlot},
		User:          []Slot{{Text: "<|user|>\n{{content}}"}, eosSlot, {Text: "<|assistant|>\n"}},
		Assistant:     []Slot{{Text: "\n{{content}}"}, eosSlot},
		DefaultSystem: "You are Zephyr, a helpful assistant.",
	},
	"ziya": {
		System:    textSlots(contentSlot),
		User:      textSlots("<human>:{{content}}\n<bot>:"),
		Assistant: textSlots("{{content}}\n"),
	},
}
