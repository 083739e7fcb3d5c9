package libtorch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// flagVariables are those this tool sets.
var flagVariables = []string{"CGO_CXXFLAGS", "CGO_LDFLAGS"}

// persisted remembers what was written with `go env -w`, so that it can be taken out again when the flags have changed.
type persisted struct {
	Flags map[string]string `json:"flags"`
}

func recordPath(root string) string { return filepath.Join(root, "persisted.json") }

func readPersisted(root string) persisted {
	var r persisted
	text, err := os.ReadFile(recordPath(root))
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return persisted{}
	}
	return r
}

// Persist writes m's flags into Go's own configuration (`go env -w`), before whatever the user has there. It reports
// whether that changed anything.
func Persist(ctx context.Context, m *Manifest) (changed bool, err error) {
	c, err := FindCompiler(ctx)
	if err != nil {
		return false, err
	}
	return rewrite(ctx, filepath.Dir(m.prefix), m.Flags(c).Values())
}

// Unpersist takes the flags out again and leaves the user's own.
func Unpersist(ctx context.Context, root string) (changed bool, err error) {
	return rewrite(ctx, root, nil)
}

// rewrite replaces our part of the persisted variables by ours, or by nothing.
func rewrite(ctx context.Context, root string, ours map[string]string) (changed bool, err error) {
	settings, err := readGoSettings(ctx)
	if err != nil {
		return false, err
	}
	file, err := readGoEnv(settings.GOENV)
	if err != nil {
		return false, err
	}
	before := readPersisted(root)
	if len(ours) > 0 { // first, so that an interruption leaves nothing that could not be taken out again
		text, err := json.MarshalIndent(persisted{ours}, "", "  ")
		if err != nil {
			return false, err
		}
		if err := writeFile(recordPath(root), append(text, '\n')); err != nil {
			return false, err
		}
	}
	var set, unset []string
	for _, name := range flagVariables {
		users, err := without(file[name], root, before.Flags[name])
		if err != nil {
			return false, &Problem{Kind: ErrNotPersisted, Detail: name + " in " + settings.GOENV, Err: err, Fix: "go env -u " + name}
		}
		value := strings.TrimSpace(ours[name] + " " + users)
		switch {
		case value == file[name]:
		case value == "":
			unset = append(unset, name)
		default:
			set = append(set, name+"="+value)
		}
	}
	err = errors.Join(goEnv(ctx, "-w", set), goEnv(ctx, "-u", unset))
	if err == nil && len(ours) == 0 {
		_ = os.Remove(recordPath(root)) // the variables are clean: nothing depends on it
	}
	return len(set)+len(unset) > 0, err
}

func goEnv(ctx context.Context, option string, args []string) error {
	if len(args) == 0 {
		return nil
	}
	tool, err := goTool()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, tool, append([]string{"env", option}, args...)...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(s string) bool { // else go warns that it will not take effect; doctor says so better
		return strings.HasPrefix(s, "CGO_CXXFLAGS=") || strings.HasPrefix(s, "CGO_LDFLAGS=")
	})
	if out, err := cmd.CombinedOutput(); err != nil {
		return &Problem{Kind: ErrNotPersisted, Detail: "go env " + option, Err: fmt.Errorf("%w: %s", err, tail(string(out), 3)),
			Fix: "eval \"$(" + Command + " env)\"        (in each shell, instead)"}
	}
	return nil
}

// readGoEnv reads Go's configuration file; `go env` itself would mix the environment's values in.
func readGoEnv(path string) (map[string]string, error) {
	values := map[string]string{}
	if path == "" || path == "off" {
		return nil, &Problem{Kind: ErrNotPersisted, Detail: "GOENV=off: Go reads no configuration file", Fix: "unset GOENV\nor in each shell: eval \"$(" + Command + " env)\""}
	}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, diskProblem(err)
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "="); ok && !strings.HasPrefix(line, "#") {
			values[name] = value
		}
	}
	return values, nil
}

// without takes our flags out of value: the run of flags that was recorded, and, should the record be lost, every flag
// that names a prefix of root.
func without(value, root, recorded string) (string, error) {
	flags, err := splitFlags(value)
	if err != nil {
		return "", err
	}
	ours, err := splitFlags(recorded)
	if err != nil {
		return "", err
	}
	for i := 0; len(ours) > 0 && i+len(ours) <= len(flags); i++ {
		if slices.Equal(flags[i:i+len(ours)], ours) {
			flags = slices.Delete(flags, i, i+len(ours))
			break
		}
	}
	var users []string
	for _, f := range flags {
		if !strings.Contains(f, filepath.Join(root, "libtorch-")) {
			users = append(users, f)
		} else if n := len(users); n > 0 && (users[n-1] == "-include" || users[n-1] == "-isystem") {
			users = users[:n-1] // the flag whose argument this was
		}
	}
	return joinFlags(users), nil
}

// Exports prints m's flags, before what the environment already has, for a shell: "sh", "fish", "json" or "make".
func Exports(ctx context.Context, m *Manifest, shell string) (string, error) {
	c, err := FindCompiler(ctx)
	if err != nil {
		return "", err
	}
	values := map[string]string{}
	for name, ours := range m.Flags(c).Values() {
		users, err := without(os.Getenv(name), filepath.Dir(m.prefix), ours)
		if err != nil {
			return "", fmt.Errorf("%s in the environment: %w", name, err)
		}
		values[name] = strings.TrimSpace(ours + " " + users)
	}
	if shell == "json" {
		text, err := json.MarshalIndent(values, "", "  ")
		return string(text) + "\n", err
	}
	format, ok := map[string]string{"sh": "export %s=%s\n", "fish": "set -gx %s %s\n", "make": "export %s := %s\n"}[shell]
	if !ok {
		return "", fmt.Errorf("shell %q is not known; want sh, fish, make or json", shell)
	}
	var b strings.Builder
	for _, name := range flagVariables {
		value := values[name]
		switch shell {
		case "sh":
			value = "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
		case "fish":
			value = "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(value) + "'"
		case "make":
			value = strings.ReplaceAll(value, "$", "$$")
		}
		fmt.Fprintf(&b, format, name, value)
	}
	return b.String(), nil
}
