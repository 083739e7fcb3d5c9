package libtorch

import (
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Config says what to install. The zero value installs for the CPU from wherever libtorch is first found.
type Config struct {
	Root     string    // folder of the prefixes; "" means Root()
	CUDA     bool      // link for the GPU, and download its libraries
	Download bool      // neither look for an installed Python torch nor for the system's libtorch
	From     string    // archive (zip, wheel, tar.gz) to unpack: a file, an http(s) address or a folder of wheels; "" means $LIBTORCH_URL, or none
	SHA256   string    // of From, in hexadecimal; "" means $LIBTORCH_SHA256, or unchecked
	Out      io.Writer // progress; nil means none

	libtorch string // $LIBTORCH

	// Tests replace these three.
	pins   []wheel
	system []place
	arch   string
}

// fill gives the fields their defaults. The order of precedence: what the command names, then $LIBTORCH, then $LIBTORCH_URL.
func (c *Config) fill() (err error) {
	if c.Root == "" {
		if c.Root, err = Root(); err != nil {
			return err
		}
	}
	if c.From == "" && !c.Download {
		if dir := os.Getenv("LIBTORCH"); dir != "" {
			if c.libtorch, err = filepath.Abs(dir); err != nil {
				return err
			}
		} else {
			c.From = os.Getenv("LIBTORCH_URL")
		}
	}
	if c.From != "" && remote(c.From) == nil {
		c.From, err = filepath.Abs(strings.TrimPrefix(c.From, "file://"))
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
		c.pins = pinned[c.arch]
	}
	if c.system == nil {
		c.system = systemPlaces(c.arch)
	}
	return err
}

// remote is the address that name is, or nil if it is a file's name.
func remote(name string) *url.URL {
	u, err := url.Parse(name)
	if err != nil || u.Host == "" || u.Scheme == "file" {
		return nil
	}
	return u
}

// origin names the archive in messages and in the manifest: without a password.
func (c *Config) origin() string {
	if u := remote(c.From); u != nil {
		return u.Redacted()
	}
	return c.From
}

// installation is one run of Install.
type installation struct {
	Config
	*progress
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
	if m := in.existing(); m != nil {
		in.say("libtorch %s is installed in %s", m.Version, m.prefix)
		return m, setCurrent(in.Root, m.prefix)
	}
	unlock, err := lock(ctx, in.Root, in.progress)
	if err != nil {
		return nil, err
	}
	defer unlock()
	m := in.existing()
	if m != nil { // by the run that was waited for
		in.say("libtorch %s was installed in %s meanwhile", m.Version, m.prefix)
		return m, setCurrent(in.Root, m.prefix)
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
	if err := checkRoot(in.Root); err != nil {
		return err
	}
	_, err := FindCompiler(ctx)
	return err
}

// existing is a prefix that answers to what this run was asked for, or nil.
func (in *installation) existing() *Manifest {
	if m, err := Current(in.Root); err == nil && in.same(m) {
		return m
	}
	if m, err := ReadManifest(in.prefix(Version, FromIndex)); err == nil && in.same(m) {
		return m
	}
	return nil
}

func (in *installation) same(m *Manifest) bool {
	if m.CUDA != in.CUDA || !m.upToDate() {
		return false
	}
	switch {
	case in.From != "":
		return m.Source == FromFile && m.Origin == in.origin() && (in.SHA256 == "" || strings.HasSuffix(m.Wheels[0], "sha256:"+strings.ToLower(in.SHA256)))
	case in.libtorch != "":
		return m.Source == FromEnv && m.Origin == in.libtorch
	case in.Download:
		return m.Source == FromIndex
	}
	return true
}

// upToDate reports whether a libtorch that lies outside the prefix is still the one the prefix was made for.
func (m *Manifest) upToDate() bool {
	version, err := headerVersion(m.path(m.Include[0]))
	return err == nil && version == m.Version
}

func (in *installation) prefix(version, source string) string {
	return filepath.Join(in.Root, prefixName(version, in.CUDA, source))
}

// partial is where a prefix grows; the name is the prefix's own, so that the next run finds what an interrupted one left.
func partial(prefix string) string {
	return filepath.Join(filepath.Dir(prefix), ".partial-"+filepath.Base(prefix))
}

// sweep removes what interrupted runs left and no later one would use. The lock is held: nobody is using it now.
func (in *installation) sweep() {
	for _, pattern := range []string{".partial-*", ".old-*", ".tmp-*"} {
		left, _ := filepath.Glob(filepath.Join(in.Root, pattern))
		for _, path := range left {
			if path != partial(in.prefix(Version, FromIndex)) {
				_ = os.RemoveAll(path) // what stays costs only space
			}
		}
	}
}

// make looks in order at the archive that was named, $LIBTORCH, Python, the system, and the index.
func (in *installation) make(ctx context.Context) (*Manifest, error) {
	if in.From != "" {
		return in.fromArchive(ctx)
	}
	if in.libtorch != "" {
		f, err := fromEnv(in.libtorch, in.arch, in.CUDA)
		if err != nil {
			return nil, err
		}
		return in.adopt(f)
	}
	if !in.Download {
		if f := fromPython(ctx, in.arch, in.CUDA, in.progress); f != nil {
			return in.adopt(f)
		}
		if f := fromSystem(in.system, in.arch, in.CUDA, in.progress); f != nil {
			return in.adopt(f)
		}
	}
	return in.fromIndex(ctx)
}

// adopt makes a prefix for a libtorch that stays where it is.
func (in *installation) adopt(f *found) (*Manifest, error) {
	in.say("using libtorch %s of %s", f.Version, f.Origin)
	prefix := in.prefix(f.Version, f.Source)
	if err := errors.Join(os.RemoveAll(partial(prefix)), makeDir(partial(prefix))); err != nil {
		return nil, diskProblem(err)
	}
	return in.finish(f, partial(prefix), prefix, Manifest{Source: f.Source, Origin: f.Origin})
}
