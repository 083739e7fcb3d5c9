package libtorch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Config says what to install. The zero value installs for the CPU from wherever libtorch is first found.
type Config struct {
	Root     string    // folder of the prefixes; "" means Root()
	CUDA     bool      // link for the GPU, and download its libraries
	Download bool      // neither look for an installed Python torch nor for the system's libtorch
	From     string    // archive (zip, wheel, tar.gz) to unpack: a file or an http(s) address; "" means $LIBTORCH_URL, and if that is empty none
	SHA256   string    // of From, in hexadecimal; "" means $LIBTORCH_SHA256, and if that is empty unchecked
	NoBuild  bool      // do not compile gotch once at the end
	Out      io.Writer // progress; nil means none

	pins   map[string][]wheel // tests replace these three
	system []place
	arch   string
}

func (c *Config) fill() (err error) {
	if c.Root == "" {
		c.Root, err = Root()
	}
	if c.From == "" {
		c.From = os.Getenv("LIBTORCH_URL")
	}
	if c.SHA256 == "" {
		c.SHA256 = os.Getenv("LIBTORCH_SHA256")
	}
	if c.Out == nil {
		c.Out = io.Discard
	}
	if c.arch == "" {
		c.arch = runtime.GOARCH
	}
	if c.pins == nil {
		c.pins = pinned
	}
	if c.system == nil {
		c.system = systemPlaces(c.arch)
	}
	return err
}

// installation is one run of Install.
type installation struct {
	Config
	*progress
	compiler compiler
}

// Install makes a prefix and makes it the current one. A second call finds it and does nothing; two at once wait for one
// another; an interrupted one is resumed by the next.
func Install(ctx context.Context, cfg Config) (*Manifest, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	in := &installation{Config: cfg, progress: newProgress(cfg.Out)}
	if err := in.check(ctx); err != nil {
		return nil, err
	}
	m, err := in.existing()
	if err == nil {
		in.say("libtorch %s is installed in %s", m.Version, m.prefix)
		return m, nil
	}
	unlock, err := lock(ctx, in.Root, in.progress)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if m, err := in.existing(); err == nil { // by the run that was waited for
		in.say("libtorch %s was installed in %s meanwhile", m.Version, m.prefix)
		return m, nil
	}
	in.sweep()
	if m, err = in.make(ctx); err != nil {
		return nil, err
	}
	in.say("libtorch %s is ready in %s", m.Version, m.prefix)
	return m, nil
}

// check finds out before the long part what would make it useless.
func (in *installation) check(ctx context.Context) error {
	if err := checkPlatform(runtime.GOOS, in.arch); err != nil {
		return err
	}
	settings, err := readGoSettings(ctx)
	if err != nil {
		return err
	}
	in.compiler, err = findCompiler(ctx, settings.CXX)
	return err
}

// existing is the current prefix, if it is what this run would make.
func (in *installation) existing() (*Manifest, error) {
	name := prefixName(Version, in.CUDA, FromIndex)
	if os.Getenv("LIBTORCH") != "" || in.From != "" || !in.Download {
		if m, err := Current(in.Root); err == nil && in.same(m) {
			return m, nil
		}
	}
	if os.Getenv("LIBTORCH") != "" || in.From != "" {
		return nil, ErrNotInstalled
	}
	m, err := ReadManifest(filepath.Join(in.Root, name))
	if err != nil {
		return nil, err
	}
	return m, setCurrent(in.Root, m.prefix)
}

// same reports whether a prefix answers to what this run was asked for.
func (in *installation) same(m *Manifest) bool {
	switch {
	case m.CUDA != in.CUDA || m.Threads != in.threads():
		return false
	case in.From != "":
		return m.Source == FromFile && m.Origin == in.From
	case os.Getenv("LIBTORCH") != "":
		dir, err := filepath.Abs(os.Getenv("LIBTORCH"))
		return err == nil && m.Source == FromEnv && m.Origin == dir && m.upToDate()
	case in.Download:
		return m.Source == FromIndex
	}
	return m.Source != FromEnv && m.upToDate()
}

// upToDate reports whether a libtorch that lies outside the prefix is still the one the prefix was made for.
func (m *Manifest) upToDate() bool {
	version, err := headerVersion(m.path(m.Include[0]))
	return err == nil && version == m.Version
}

// threads: clang's OpenMP would be a second runtime beside the one libtorch loads.
func (in *installation) threads() bool { return !in.compiler.Clang }

// partial is where a prefix grows; the name is the prefix's own, so that the next run finds what an interrupted one left.
func (in *installation) partial(prefix string) string {
	return filepath.Join(in.Root, ".partial-"+filepath.Base(prefix))
}

// sweep removes what interrupted runs left and no later one would use. The lock is held: nobody is using it now.
func (in *installation) sweep() {
	keep := in.partial(prefixName(Version, in.CUDA, FromIndex))
	for _, pattern := range []string{".partial-*", ".old-*", ".tmp-*"} {
		left, _ := filepath.Glob(filepath.Join(in.Root, pattern))
		for _, path := range left {
			if path != keep {
				_ = os.RemoveAll(path) // what stays costs only space
			}
		}
	}
}

// make looks in order at $LIBTORCH, an archive, Python, the system, and the index.
func (in *installation) make(ctx context.Context) (*Manifest, error) {
	if in.From == "" {
		if f, err := fromEnv(in.arch, in.CUDA); f != nil || err != nil {
			return in.adopt(f, err)
		}
	}
	if in.From != "" {
		return in.fromArchive(ctx)
	}
	if !in.Download {
		if f := fromPython(ctx, in.arch, in.CUDA, in.progress); f != nil {
			return in.adopt(f, nil)
		}
		if f := fromSystem(in.system, in.arch, in.CUDA, in.progress); f != nil {
			return in.adopt(f, nil)
		}
	}
	return in.fromIndex(ctx)
}

// adopt makes a prefix for a libtorch that stays where it is.
func (in *installation) adopt(f *found, err error) (*Manifest, error) {
	if err != nil {
		return nil, err
	}
	in.say("using libtorch %s of %s", f.Version, f.Origin)
	prefix := filepath.Join(in.Root, prefixName(f.Version, in.CUDA, f.Source))
	partial := in.partial(prefix)
	if err := errors.Join(os.RemoveAll(partial), makeDir(partial)); err != nil {
		return nil, err
	}
	return in.finish(f, partial, prefix, nil)
}

// fromIndex downloads the pinned wheels and unpacks them, one after the other; a wheel that an earlier run unpacked is
// not fetched again.
func (in *installation) fromIndex(ctx context.Context) (*Manifest, error) {
	if _, err := checkGlibc(ctx); err != nil {
		return nil, err
	}
	tool, err := findPip(ctx)
	if err != nil {
		return nil, err
	}
	prefix := filepath.Join(in.Root, prefixName(Version, in.CUDA, FromIndex))
	partial := in.partial(prefix)
	var wheels []wheel
	for _, w := range in.pins[in.arch] {
		if in.CUDA || !w.CUDA {
			wheels = append(wheels, w)
		}
	}
	if err := in.spaceFor(wheels, partial); err != nil {
		return nil, err
	}
	in.say("downloading libtorch %s with %s (%s): %d packages into %s", Version, strings.Join(tool.Command, " "), tool.Version, len(wheels), in.Root)
	var names []string
	for i, w := range wheels {
		if err := in.wheel(ctx, tool, w, fmt.Sprintf("%d/%d %s %s", i+1, len(wheels), w.Name, w.Version), partial); err != nil {
			return nil, err
		}
		names = append(names, fmt.Sprintf("%s==%s sha256:%s", w.Name, w.Version, w.SHA256))
	}
	t, err := inspectUnder(partial, in.arch)
	if err != nil {
		return nil, err
	}
	return in.finish(&found{t, FromIndex, ""}, partial, prefix, names)
}

// spaceFor adds what is still to come: all wheels unpacked, and the largest of them packed beside them.
func (in *installation) spaceFor(wheels []wheel, partial string) error {
	var unpacked, largest int64
	for _, w := range wheels {
		if !exists(marker(partial, w)) {
			size := w.Size * unpackedPerByte
			if w.Name == "torch" && !in.CUDA {
				size = w.Size // the CUDA half is not unpacked
			}
			unpacked, largest = unpacked+size, max(largest, w.Size)
		}
	}
	return needSpace(in.Root, unpacked+largest)
}

// marker says that a wheel has been unpacked.
func marker(partial string, w wheel) string {
	return filepath.Join(partial, ".done", w.Name+"-"+w.SHA256[:16])
}

func (in *installation) wheel(ctx context.Context, tool pip, w wheel, label, partial string) error {
	if exists(marker(partial, w)) {
		in.say("  %s: already unpacked", label)
		return nil
	}
	archive, err := in.fetchWheel(ctx, tool, w, label, filepath.Join(partial, ".download"))
	if err != nil {
		return err
	}
	// What an interrupted run wrote of this wheel is overwritten: it goes to a folder of its own and is moved when whole.
	fresh := filepath.Join(partial, ".unpack")
	if err := os.RemoveAll(fresh); err != nil {
		return diskProblem(err)
	}
	if err := unpack(ctx, archive, fresh, selection(in.CUDA), in.progress); err != nil {
		return err
	}
	if err := merge(fresh, partial); err != nil {
		return diskProblem(err)
	}
	if err := errors.Join(makeDir(filepath.Dir(marker(partial, w))), writeFile(marker(partial, w), nil)); err != nil {
		return err
	}
	return diskProblem(os.RemoveAll(filepath.Dir(archive)))
}

// fetchWheel downloads one wheel, or takes the whole one an interrupted run left. Its hash is verified here too: a pip
// that was told to trust something else must not decide.
func (in *installation) fetchWheel(ctx context.Context, tool pip, w wheel, label, dir string) (string, error) {
	if left, _ := filepath.Glob(filepath.Join(dir, "*.whl")); len(left) == 1 && verify(ctx, left[0], w.SHA256) == nil {
		in.say("  %s: already downloaded", label)
		return left[0], nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", diskProblem(err)
	}
	in.say("  %s (%s)", label, megabytes(w.Size))
	stop := in.watch("  downloading", w.Size, func() int64 { return sizeOf(dir) })
	archive, err := tool.download(ctx, w, in.arch, dir)
	stop()
	if err != nil {
		return "", err
	}
	return archive, verify(ctx, archive, w.SHA256)
}

// verify compares a file with its hash.
func verify(ctx context.Context, path, want string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, &interruptible{ctx, f}); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); !strings.EqualFold(got, want) {
		return &Problem{Kind: ErrHash, Detail: fmt.Sprintf("%s has sha256 %s; want %s", path, got, want), Fix: "take the file again, or one you trust: " + Command + " install --from FILE"}
	}
	return nil
}

// merge moves the files below from to the same places below to; both are on one file system.
func merge(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		src, dst := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		if e.IsDir() && isDir(dst) {
			if err := merge(src, dst); err != nil {
				return err
			}
			continue
		}
		if err := os.RemoveAll(dst); err != nil {
			return err
		}
		if err := os.Rename(src, dst); err != nil {
			return err
		}
	}
	return os.RemoveAll(from)
}

// finish writes our own files and the manifest, and gives the folder its name.
func (in *installation) finish(f *found, partial, prefix string, wheels []string) (*Manifest, error) {
	for _, name := range []string{".done", ".download", ".unpack"} {
		if err := os.RemoveAll(filepath.Join(partial, name)); err != nil {
			return nil, diskProblem(err)
		}
	}
	m := &Manifest{Format: manifestFormat, Version: f.Version, CUDA: in.CUDA, Source: f.Source, Origin: f.Origin, Wheels: wheels,
		Threads: in.threads() && f.OpenMP != "", OpenMP: relative(partial, f.OpenMP), Files: map[string]int64{}, prefix: partial}
	for _, dir := range f.Include {
		m.Include = append(m.Include, relative(partial, dir))
	}
	for _, dir := range f.LibDirs {
		m.LibDirs = append(m.LibDirs, relative(partial, dir))
	}
	if in.CUDA {
		m.addCUDA()
	}
	if err := makeDir(filepath.Join(partial, "include")); err != nil {
		return nil, err
	}
	if err := writeFile(filepath.Join(partial, compatName), compatHeader); err != nil {
		return nil, err
	}
	link := f.Tree
	if m.OpenMP != "" && !filepath.IsAbs(m.OpenMP) {
		link.OpenMP = filepath.Join("..", m.OpenMP)
	}
	if err := writeLinkFolder(filepath.Join(partial, "link"), link, in.CUDA); err != nil {
		return nil, err
	}
	if err := m.record(); err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := writeFile(filepath.Join(partial, "manifest.json"), append(text, '\n')); err != nil {
		return nil, err
	}
	if err := replaceDir(partial, prefix); err != nil {
		return nil, diskProblem(err)
	}
	m.prefix = prefix
	return m, setCurrent(in.Root, prefix)
}

// addCUDA adds every folder of CUDA libraries and headers that came with torch.
func (m *Manifest) addCUDA() {
	base := filepath.Dir(filepath.Dir(m.path(m.LibDirs[0]))) // torch/lib → the folder above torch
	libs, _ := filepath.Glob(filepath.Join(base, "nvidia", "*", "lib"))
	includes, _ := filepath.Glob(filepath.Join(base, "nvidia", "*", "include"))
	for _, dir := range libs {
		if name := relative(m.prefix, dir); !slices.Contains(m.LibDirs, name) {
			m.LibDirs = append(m.LibDirs, name)
		}
	}
	for _, dir := range includes {
		m.Include = append(m.Include, relative(m.prefix, dir))
	}
}

// record notes the sizes of the files without which nothing links.
func (m *Manifest) record() error {
	lib := m.LibDirs[0]
	names := []string{filepath.Join(lib, "libtorch_cpu.so"), filepath.Join(lib, "libc10.so"), filepath.Join(m.Include[1], "torch", "torch.h"), compatName}
	if m.CUDA {
		names = append(names, filepath.Join(lib, "libtorch_cuda.so"))
	}
	if m.OpenMP != "" {
		names = append(names, m.OpenMP)
	}
	for _, name := range names {
		info, err := os.Stat(m.path(name))
		if err != nil {
			return &Problem{Kind: ErrNoLibtorch, Detail: "it is not whole", Err: err, Fix: Command + " install --download"}
		}
		m.Files[name] = info.Size()
	}
	return nil
}

// relative makes a path below dir relative to it and leaves others alone.
func relative(dir, path string) string {
	if rest, ok := strings.CutPrefix(path, dir+string(filepath.Separator)); ok {
		return rest
	}
	return path
}

// replaceDir gives the finished folder its name; a damaged one that has it is moved aside first and then removed.
func replaceDir(partial, prefix string) error {
	old := filepath.Join(filepath.Dir(prefix), ".old-"+filepath.Base(prefix))
	if err := os.RemoveAll(old); err != nil {
		return err
	}
	if err := os.Rename(prefix, old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(partial, prefix); err != nil {
		return err
	}
	return os.RemoveAll(old)
}

// Build compiles gotch once with m's flags, so that the minutes it takes are spent now and not in the first `go build`.
// It needs a module that requires gotch in the working directory; elsewhere it says so and does nothing.
func Build(ctx context.Context, m *Manifest, out io.Writer) error {
	p := newProgress(out)
	tool, err := goTool()
	if err != nil {
		return err
	}
	const gotch = "github.com/sugarme/gotch/libtch"
	if err := exec.CommandContext(ctx, tool, "list", gotch).Run(); err != nil {
		p.say("gotch is not compiled now: no module here requires it. The first `go build` of one that does takes minutes, once.")
		return nil
	}
	p.say("compiling gotch's C++ (one to four minutes, once; later builds take it from Go's cache)")
	cmd := exec.CommandContext(ctx, tool, "build", gotch)
	cmd.Env = m.Environ()
	text, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return &Problem{Kind: ErrBuild, Detail: "go build " + gotch, Err: fmt.Errorf("%w\n%s", err, indent(tail(string(text), 20))), Fix: Command + " doctor --deep"}
	}
	return nil
}

// Environ is the process's environment with the flags in force.
func (m *Manifest) Environ() []string {
	env := append(os.Environ(), "CGO_ENABLED=1")
	for name, value := range m.Flags().Values() {
		env = append(env, name+"="+value)
	}
	return env
}
