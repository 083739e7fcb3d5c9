package libtorch

import (
	"errors"
	"fmt"
	"strings"
)

// Command is how messages name this tool. It works in this module and in every module that requires it.
const Command = "go run github.com/gofinetune/finetune/cmd/libtorch"

// What can be missing. Every error of this package that a user can mend is a *Problem that wraps one of these.
var (
	ErrPlatform     = errors.New("unsupported operating system or architecture")
	ErrGlibc        = errors.New("no suitable C library")
	ErrNoCompiler   = errors.New("no C++ compiler")
	ErrOldCompiler  = errors.New("too old a C++ compiler")
	ErrNoGo         = errors.New("go command missing or failing")
	ErrCgoOff       = errors.New("cgo is switched off")
	ErrNoPip        = errors.New("pip missing")
	ErrOldPip       = errors.New("pip too old")
	ErrNoNetwork    = errors.New("package index not reachable")
	ErrProxy        = errors.New("proxy refused")
	ErrCertificate  = errors.New("certificate not trusted")
	ErrRefused      = errors.New("package index refused")
	ErrNotOnIndex   = errors.New("package not on the index")
	ErrHash         = errors.New("content differs from the pinned hash")
	ErrDownload     = errors.New("download did not finish")
	ErrDiskFull     = errors.New("disk full")
	ErrRoot         = errors.New("folder name not usable")
	ErrNotWritable  = errors.New("folder not writable")
	ErrArchive      = errors.New("archive not usable")
	ErrNoLibtorch   = errors.New("no usable libtorch there")
	ErrOldLibtorch  = errors.New("libtorch too old")
	ErrOldABI       = errors.New("libtorch built for the old C++ ABI")
	ErrWrongArch    = errors.New("libtorch built for another architecture")
	ErrNoCUDA       = errors.New("libtorch without CUDA")
	ErrNotInstalled = errors.New("libtorch not installed")
	ErrDamaged      = errors.New("installation damaged")
	ErrNotPersisted = errors.New("flags not in force")
	ErrBuild        = errors.New("compile or link failed")
	ErrNoMemory     = errors.New("out of memory")
	ErrDriver       = errors.New("no usable CUDA driver")
	ErrLocked       = errors.New("another run holds the lock")
)

// Problem is something the user can mend: what is wrong, why, and the command or step that mends it.
type Problem struct {
	Kind   error  // one of the Err… values
	Detail string // what was found and what was expected
	Fix    string // commands or steps, one a line
	Err    error  // the cause, where there is one
}

// Error prints the detail, the cause and, on lines of their own, the cure.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.summary())
	for i, line := range strings.Split(p.Fix, "\n") {
		switch {
		case line == "":
		case i == 0:
			fmt.Fprintf(&b, "\n  to mend it: %s", line)
		default:
			fmt.Fprintf(&b, "\n              %s", line)
		}
	}
	return b.String()
}

// summary is the message without the cure.
func (p *Problem) summary() string {
	text := fmt.Sprintf("%v: %s", p.Kind, p.Detail)
	if p.Err != nil {
		text += fmt.Sprintf(": %v", p.Err)
	}
	return text
}

// Unwrap makes errors.Is find both the kind and the cause.
func (p *Problem) Unwrap() []error {
	if p.Err == nil {
		return []error{p.Kind}
	}
	return []error{p.Kind, p.Err}
}
