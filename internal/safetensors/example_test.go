package safetensors_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofinetune/finetune/internal/safetensors"
)

func Example() {
	dir, err := os.MkdirTemp("", "safetensors")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, safetensors.SingleFile)

	weight := safetensors.Tensor{Name: "norm.weight", DType: safetensors.F32, Shape: []int64{2}, Data: safetensors.Float32Data([]float32{1, 0.5})}
	if err := safetensors.Write(path, []safetensors.Tensor{weight}, map[string]string{"format": "pt"}); err != nil {
		fmt.Println(err)
		return
	}
	model, err := safetensors.OpenModel(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer model.Close()
	for _, name := range model.Names() {
		t, _ := model.Tensor(name)
		values, err := t.Float32s()
		fmt.Println(name, t.DType, t.Shape, values, err)
	}
	// Output: norm.weight F32 [2] [1 0.5] <nil>
}

func ExampleParse() {
	_, err := safetensors.Parse([]byte("PK\x03\x04 what torch.save writes"))
	fmt.Println(errors.Is(err, safetensors.NotSafetensors))
	fmt.Println(err)
	// Output:
	// true
	// is a zip archive, as torch.save writes it: a pickle, which can run code, is never read; load it once with transformers and save it again with save_pretrained(dir), which writes safetensors (not_safetensors)
}
