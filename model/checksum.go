package model

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/gofinetune/finetune/internal/torch"
)

// Checksum is a SHA-256, in hexadecimal, of everything that the numbers of the network follow from: its weights and the adapters in force.
func (m *Model) Checksum() (string, error) {
	if err := m.usable(); err != nil {
		return "", err
	}
	sum := sha256.New()
	one := func(p *Parameter) error {
		return torch.Do(func(s *torch.Scope) {
			fmt.Fprintf(sum, "%s %v %s\n", p.Name, p.Shape, p.Tensor.DType())
			sum.Write(s.Contiguous(s.Detach(p.Tensor)).Bytes())
		})
	}
	for _, p := range m.parameters {
		if err := one(p); err != nil {
			return "", err
		}
	}
	for _, l := range m.linears {
		if l.adapter == nil {
			continue
		}
		fmt.Fprintf(sum, "%s %s\n", l.Name, l.adapter)
		for _, p := range l.adapter.Parameters() {
			if err := one(p); err != nil {
				return "", err
			}
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
