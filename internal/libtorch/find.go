package libtorch

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// found is a libtorch that needs no download.
type found struct {
	Tree
	Source, Origin string
}

// fromEnv uses $LIBTORCH. Who set it meant it: what is wrong there is an error, not a reason to look on.
func fromEnv(dir, arch string, cuda bool) (*found, error) {
	t, err := inspectUnder(dir, arch)
	if err == nil && cuda && !t.CUDA {
		err = &Problem{Kind: ErrNoCUDA, Detail: dir + " has no libtorch_cuda.so"}
	}
	var p *Problem
	if errors.As(err, &p) {
		p.Detail = "LIBTORCH: " + p.Detail
		p.Fix = "unset LIBTORCH        (then one is looked for, or downloaded)\nor export LIBTORCH=/a/libtorch/of/2.6/or/later"
	}
	if err != nil {
		return nil, err
	}
	return &found{t, FromEnv, dir}, nil
}

// findTorch asks Python where the package is, without importing it: that would take seconds and run its code.
const findTorch = `import importlib.util as u
s = u.find_spec("torch")
print(list(s.submodule_search_locations)[0] if s and s.submodule_search_locations else "")`

// fromPython looks for an installed torch package; an unsuitable one is reported and passed over.
func fromPython(ctx context.Context, arch string, cuda bool, p *progress) *found {
	for _, python := range []string{"python3", "python"} {
		out, err := exec.CommandContext(ctx, python, "-c", findTorch).Output()
		dir := strings.TrimSpace(string(out))
		if err != nil || dir == "" {
			continue
		}
		if t, ok := consider(placesUnder(dir)[0], arch, cuda, fmt.Sprintf("the torch package of %s", python), p); ok {
			return &found{t, FromPython, dir}
		}
	}
	return nil
}

// systemPlaces are where distributions and hand-made installations put libtorch.
func systemPlaces(arch string) []place {
	multiarch := "/usr/lib/" + machineTags[arch] + "-linux-gnu"
	return []place{
		{"/usr/include", multiarch}, {"/usr/include", "/usr/lib64"}, {"/usr/include", "/usr/lib"},
		{"/usr/local/include", "/usr/local/lib"}, {"/usr/local/libtorch/include", "/usr/local/libtorch/lib"},
		{"/opt/libtorch/include", "/opt/libtorch/lib"}, {"/usr/lib/libtorch/include", "/usr/lib/libtorch/lib"},
	}
}

func fromSystem(places []place, arch string, cuda bool, p *progress) *found {
	for _, at := range places {
		if !exists(filepath.Join(at.lib, "libtorch_cpu.so")) {
			continue
		}
		if t, ok := consider(at, arch, cuda, "the system's libtorch", p); ok {
			return &found{t, FromSystem, at.lib}
		}
	}
	return nil
}

// consider inspects a libtorch nobody asked for by name.
func consider(at place, arch string, cuda bool, what string, p *progress) (Tree, bool) {
	t, err := inspect(at, arch)
	var problem *Problem
	switch {
	case errors.As(err, &problem):
		p.say("passing over %s: %v: %s", what, problem.Kind, problem.Detail)
		return t, false
	case err != nil:
		p.say("passing over %s: %v", what, err)
		return t, false
	case cuda && !t.CUDA:
		p.say("passing over %s in %s: it has no CUDA part", what, at.lib)
		return t, false
	}
	return t, true
}
