package libtorch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// fromArchive unpacks what the user named: an archive, or a folder of wheels.
func (in *installation) fromArchive(ctx context.Context) (*Manifest, error) {
	dir := filepath.Join(in.Root, ".partial-archive")
	if err := errors.Join(os.RemoveAll(dir), makeDir(dir)); err != nil {
		return nil, diskProblem(err)
	}
	archives, err := in.archives(ctx, dir)
	if err != nil {
		return nil, err
	}
	made := Manifest{Source: FromFile, Origin: in.origin()}
	for _, archive := range archives {
		sum, err := in.checkArchive(ctx, archive)
		if err != nil {
			return nil, err
		}
		made.Wheels = append(made.Wheels, filepath.Base(archive)+" sha256:"+sum)
		if err := unpack(ctx, archive, dir, selection(in.CUDA), in.progress); err != nil {
			return nil, err
		}
	}
	t, err := in.inspectArchive(ctx, dir)
	if err != nil {
		return nil, inArchive(err, in.origin())
	}
	return in.finish(&found{Tree: t}, dir, in.prefix(t.Version, FromFile), made)
}

// archives lists the files to unpack; what is named by an address is fetched.
func (in *installation) archives(ctx context.Context, dir string) ([]string, error) {
	if u := remote(in.From); u != nil {
		archive := filepath.Join(dir, downloadFolder, "archive")
		return []string{archive}, in.fetchURL(ctx, u, archive)
	}
	if !isDir(in.From) {
		return []string{in.From}, nil
	}
	wheels, _ := filepath.Glob(filepath.Join(in.From, "*.whl"))
	if len(wheels) == 0 {
		return nil, &Problem{Kind: ErrArchive, Detail: in.From + " holds no wheel (*.whl)", Fix: "name the archive itself, or a folder that pip download has filled (see docs/setup.md)"}
	}
	return wheels, nil
}

// checkArchive hashes an archive: it must be what --sha256 says; without that, whether it is one of the pinned is told.
func (in *installation) checkArchive(ctx context.Context, archive string) (sum string, err error) {
	sum, err = hashOf(ctx, archive)
	if err != nil {
		return "", err
	}
	if in.SHA256 != "" {
		in.say("unpacking %s", filepath.Base(archive))
		return sum, compareHash(archive, sum, in.SHA256)
	}
	what := "not one this version was tested with; its hash is not checked (--sha256 would)"
	for _, w := range in.pins {
		if w.SHA256 == sum {
			what = "the pinned " + w.Name + " " + w.Version
		}
	}
	in.say("unpacking %s: %s", filepath.Base(archive), what)
	return sum, nil
}

// inspectArchive checks what came out of an archive: whether all is there, and the C library it was built for.
func (in *installation) inspectArchive(ctx context.Context, dir string) (Tree, error) {
	t, err := inspectUnder(dir, in.arch)
	if err != nil {
		return t, err
	}
	if in.CUDA && !t.CUDA {
		return t, &Problem{Kind: ErrNoCUDA, Detail: "it has no libtorch_cuda.so", Fix: "name an archive built for CUDA, or leave --cuda out"}
	}
	if len(t.Missing) > 0 {
		return t, &Problem{Kind: ErrNoLibtorch, Detail: fmt.Sprintf("libtorch_cpu.so needs %s, which did not come with it", strings.Join(t.Missing, ", ")),
			Fix: "put the torch wheel and those it needs into a folder and name the folder: --from FOLDER\n" +
				"(libcudart is in the wheel nvidia-cuda-runtime, libcupti in nvidia-cuda-cupti; docs/setup.md has the command)"}
	}
	_, err = checkGlibc(ctx, t.Glibc)
	return t, err
}

// inArchive says what an archive should have been.
func inArchive(err error, name string) error {
	var p *Problem
	if !errors.As(err, &p) {
		return err
	}
	p.Detail = name + ": " + p.Detail
	if p.Fix == "" {
		p.Fix = "name an archive of libtorch 2.6 or later, C++11 ABI: the torch wheel, or libtorch-shared-with-deps (with libtorch/lib and libtorch/include)"
	}
	return err
}
