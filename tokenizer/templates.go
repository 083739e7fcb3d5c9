package tokenizer

type chatTemplates struct{}

func readTemplates(dir string, files []savedFile, c config) (chatTemplates, error) {
	return chatTemplates{}, nil
}
