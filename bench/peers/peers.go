// Package peers runs the other side of a comparison: the Python scripts beside it, and whatever is measured with them.
package peers

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
)

// Output runs a program and returns what it printed; where it failed, the error has what it complained of.
func Output(name string, args ...string) ([]byte, error) {
	c := exec.Command(name, args...)
	var complaint bytes.Buffer
	c.Stderr = &complaint
	out, err := c.Output()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s %v: %w", name, args, err), errors.New(complaint.String()))
	}
	return out, nil
}
