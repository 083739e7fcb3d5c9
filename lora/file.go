package lora

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/gofinetune/finetune/internal/safetensors"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model"
)

// The names of PEFT's two files.
const (
	configName  = "adapter_config.json"
	weightsName = "adapter_model.safetensors"
)

// Save writes adapter_config.json and adapter_model.safetensors to dir, as PEFT does. Each file is replaced whole.
func (a *Adapter) Save(dir string) error {
	if err := a.usable(); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("lora: %w", err)
	}
	var sources []safetensors.Source
	for _, p := range a.Parameters() {
		sources = append(sources, model.TensorSource(p.Name, p.Tensor, p.Shape, a.dtype()))
	}
	options := safetensors.Options{Metadata: map[string]string{"format": "pt"}}
	if _, err := safetensors.WriteSources(filepath.Join(dir, weightsName), sources, options); err != nil {
		return fmt.Errorf("lora: %w", err)
	}
	if err := model.WriteJSON(filepath.Join(dir, configName), a.peft()); err != nil {
		return fmt.Errorf("lora: %w", err)
	}
	return nil
}

// peft is the adapter's adapter_config.json.
func (a *Adapter) peft() map[string]any {
	c := a.Config
	task := "CAUSAL_LM"
	if a.base.Config.Head.Score {
		task = "SEQ_CLS"
	}
	fields := map[string]any{
		"peft_type": "LORA", "task_type": task, "base_model_name_or_path": a.base.Dir(), "inference_mode": true,
		"r": c.Rank, "lora_alpha": c.Alpha, "lora_dropout": c.Dropout, "bias": "none", "fan_in_fan_out": a.base.Config.Names.InputFirst,
		"init_lora_weights": true, "use_rslora": c.RSLoRA, "use_dora": c.DoRA, "target_modules": c.Targets,
		"rank_pattern": orEmpty(c.RankPattern), "alpha_pattern": orEmpty(c.AlphaPattern), "modules_to_save": nil,
	}
	if len(c.Targets) == 1 && c.Targets[0] == AllLinear {
		fields["target_modules"] = AllLinear
		if a.base.Config.Experts != nil { // PEFT would take it to mean the experts too, which no adapter here changes
			fields["target_modules"] = a.Modules()
		}
	}
	if len(c.ModulesToSave) > 0 {
		fields["modules_to_save"] = c.ModulesToSave
	}
	return fields
}

func orEmpty[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}

// Load reads an adapter in PEFT's format, freezes the base and activates the adapter. The file is checked against the config and the
// model before memory is taken: every tensor that is missing, extra or of another shape is listed in one error. A field of the config
// that changes what the adapter computes and is not honoured is an error that names it.
func Load(m *model.Model, dir string) (*Adapter, error) {
	c, fanInFanOut, err := readConfig(filepath.Join(dir, configName))
	if err != nil {
		return nil, err
	}
	if m != nil && m.Config != nil && fanInFanOut && !m.Config.Names.InputFirst {
		return nil, fmt.Errorf("lora: %s: fan_in_fan_out is true, but %s stores its projections [out, in]; the adapter belongs to another model",
			filepath.Join(dir, configName), m.Config.Family)
	}
	file, err := safetensors.Open(filepath.Join(dir, weightsName))
	if err != nil {
		return nil, fmt.Errorf("lora: %w", err)
	}
	defer file.Close()
	a, err := newAdapter(m, c)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	want := map[string]safetensors.Want{}
	for _, p := range a.Parameters() {
		want[p.Name] = safetensors.Want{Shape: p.Shape}
	}
	if err := safetensors.Check(file.Path(), file, want, nil); err != nil { // before there are tensors: a rank in the config may be any number
		return nil, fmt.Errorf("lora: %w", err)
	}
	if err := a.allocate(); err != nil {
		return nil, fmt.Errorf("lora: %w", err)
	}
	err = torch.Do(func(*torch.Scope) {
		for _, p := range a.Parameters() {
			stored, _ := file.Tensor(p.Name)
			p.Tensor.CopyFrom(stored.Data, model.StorageType(stored.DType), 0)
		}
	})
	return a.ready(err)
}

// peftFile are the fields of adapter_config.json that are honoured.
type peftFile struct {
	PeftType      string             `json:"peft_type"`
	TaskType      string             `json:"task_type"`
	R             int                `json:"r"`
	Alpha         float64            `json:"lora_alpha"`
	Dropout       float64            `json:"lora_dropout"`
	Targets       any                `json:"target_modules"`
	RSLoRA        bool               `json:"use_rslora"`
	DoRA          bool               `json:"use_dora"`
	RankPattern   map[string]int     `json:"rank_pattern"`
	AlphaPattern  map[string]float64 `json:"alpha_pattern"`
	ModulesToSave []string           `json:"modules_to_save"`
	FanInFanOut   bool               `json:"fan_in_fan_out"` // the base stores its projections [in, out]
}

// neutral are fields of PEFT that change what an adapter computes and that are not honoured, with the values that change nothing.
var neutral = map[string][]any{
	"bias": {"none"}, "lora_bias": {false}, "use_qalora": {false}, "use_bdlora": {false},
	"layers_to_transform": {}, "layer_replication": {}, "exclude_modules": {}, "trainable_token_indices": {},
	"target_parameters": {}, "alora_invocation_tokens": {}, "arrow_config": {}, "megatron_config": {},
}

func readConfig(path string) (c Config, fanInFanOut bool, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, false, fmt.Errorf("lora: %w", err)
	}
	var all map[string]any
	var f peftFile
	if err := errors.Join(json.Unmarshal(data, &all), json.NewDecoder(bytes.NewReader(data)).Decode(&f)); err != nil {
		return Config{}, false, fmt.Errorf("lora: %s: %w", path, err)
	}
	if !strings.EqualFold(f.PeftType, "LORA") {
		return Config{}, false, fmt.Errorf("lora: %s: peft_type is %q; only LORA is supported", path, f.PeftType)
	}
	for name, harmless := range neutral {
		value, given := all[name]
		if given && value != nil && !slices.ContainsFunc(harmless, func(h any) bool { return reflect.DeepEqual(h, value) }) {
			return Config{}, false, fmt.Errorf("lora: %s: %s is %v, which changes what the adapter computes and is not supported", path, name, value)
		}
	}
	c = Config{Rank: f.R, Alpha: f.Alpha, Dropout: f.Dropout, RSLoRA: f.RSLoRA, DoRA: f.DoRA, RankPattern: f.RankPattern,
		AlphaPattern: f.AlphaPattern, ModulesToSave: f.ModulesToSave}
	if f.TaskType == "SEQ_CLS" { // PEFT lists the names that any family has for its head
		c.ModulesToSave = slices.DeleteFunc(c.ModulesToSave, func(name string) bool { return name == "classifier" })
	}
	if len(c.RankPattern) == 0 { // PEFT writes {} for none
		c.RankPattern = nil
	}
	if len(c.AlphaPattern) == 0 {
		c.AlphaPattern = nil
	}
	switch targets := f.Targets.(type) {
	case string:
		if targets != AllLinear {
			return Config{}, false, fmt.Errorf("lora: %s: target_modules is the pattern %q; want a list of names, or %s", path, targets, AllLinear)
		}
		c.Targets = []string{AllLinear}
	case []any:
		for _, t := range targets {
			c.Targets = append(c.Targets, fmt.Sprint(t))
		}
	}
	if f.R <= 0 || len(c.Targets) == 0 {
		return Config{}, false, fmt.Errorf("lora: %s: r is %d with %d target_modules; want both above 0", path, f.R, len(c.Targets))
	}
	return c, f.FanInFanOut, nil
}
