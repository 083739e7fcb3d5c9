module github.com/gofinetune/finetune/testdata

go 1.26
