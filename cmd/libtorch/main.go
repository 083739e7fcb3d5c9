// Command libtorch sets libtorch up for Go: it finds or downloads it, and tells the C++ compiler and the linker.
//
//	go run ./cmd/libtorch install --persist     once; then plain `go build ./...` works
//	go run ./cmd/libtorch doctor                what is wrong, and the command that mends it
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/gofinetune/finetune/internal/libtorch"
)

const usage = `usage: libtorch <command> [options]

  install    find libtorch, or download it, and compile gotch once     (--cuda, --persist, --from FILE, …)
  env        print the flags for a shell: eval "$(libtorch env)"       (--shell sh|fish|make|json, --persist, --unpersist)
  doctor     check everything; say what mends what fails               (--deep, --json)
  path       print the folder in use
  uninstall  take the flags and the folders away                       (--all: also this root's other versions)

libtorch <command> --help lists the options.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, os.Args[1:]); {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUnwell):
		os.Exit(1)
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "libtorch: interrupted; the same command goes on where this one stopped")
		os.Exit(130)
	default:
		fmt.Fprintln(os.Stderr, "libtorch:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return errors.New("no command given")
	}
	commands := map[string]func(context.Context, []string) error{"install": install, "env": env, "path": path, "doctor": doctor, "uninstall": uninstall}
	switch command, ok := commands[args[0]]; {
	case ok:
		return command(ctx, args[1:])
	case args[0] == "help" || args[0] == "-h" || args[0] == "--help":
		fmt.Print(usage)
		return nil
	}
	fmt.Fprint(os.Stderr, usage)
	return fmt.Errorf("command %q is not known", args[0])
}

// parse reads a command's options; none takes further arguments.
func parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%s: argument %q is not expected", flags.Name(), flags.Arg(0))
	}
	return nil
}

func install(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("install", flag.ContinueOnError)
	cfg := libtorch.Config{Out: os.Stderr}
	flags.BoolVar(&cfg.CUDA, "cuda", false, "link for NVIDIA GPUs; downloads some 2.5 GB instead of 0.5")
	flags.BoolVar(&cfg.Download, "download", false, "use neither an installed Python torch nor the system's libtorch")
	flags.StringVar(&cfg.From, "from", "", "unpack this archive of libtorch (file, http address, or folder of wheels) instead of calling pip; also $LIBTORCH_URL")
	flags.StringVar(&cfg.SHA256, "sha256", "", "hash that the archive must have; also $LIBTORCH_SHA256")
	noBuild := flags.Bool("no-build", false, "leave the compilation of gotch to the first go build")
	persist := flags.Bool("persist", false, "write the flags with go env -w, for every module of this user")
	if err := parse(flags, args); err != nil {
		return err
	}
	m, err := libtorch.Install(ctx, cfg)
	if err != nil {
		return err
	}
	if *persist {
		if err := persistFlags(ctx, m); err != nil {
			return err
		}
	}
	if !*noBuild {
		if err := libtorch.Build(ctx, m, os.Stderr); err != nil {
			return err
		}
	}
	if !*persist {
		fmt.Fprintf(os.Stderr, "for this shell:            eval \"$(%[1]s env)\"\nfor all of your modules:   %[1]s env --persist\n", libtorch.Command)
	}
	return nil
}

func persistFlags(ctx context.Context, m *libtorch.Manifest) error {
	changed, err := libtorch.Persist(ctx, m)
	if err != nil {
		return err
	}
	if changed {
		fmt.Fprintln(os.Stderr, "the flags are written with go env -w: plain go build, go test and go get work in every module")
	}
	for _, name := range []string{"CGO_CXXFLAGS", "CGO_LDFLAGS"} {
		if os.Getenv(name) != "" {
			fmt.Fprintf(os.Stderr, "note: %s is set in this environment and takes precedence over what was written: unset %[1]s\n", name)
		}
	}
	return nil
}

func env(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("env", flag.ContinueOnError)
	shell := flags.String("shell", "sh", "syntax: sh, fish, make or json")
	persist := flags.Bool("persist", false, "write the flags with go env -w instead of printing them")
	unpersist := flags.Bool("unpersist", false, "take them out again")
	if err := parse(flags, args); err != nil {
		return err
	}
	root, err := libtorch.Root()
	if err != nil {
		return err
	}
	if *unpersist {
		_, err := libtorch.Unpersist(ctx, root)
		return err
	}
	m, err := libtorch.Current(root)
	if err != nil {
		return err
	}
	if *persist {
		return persistFlags(ctx, m)
	}
	text, err := libtorch.Exports(ctx, m, *shell)
	fmt.Print(text)
	return err
}

func doctor(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("doctor", flag.ContinueOnError)
	deep := flags.Bool("deep", false, "also compile, link and run a small program (some 20 seconds)")
	asJSON := flags.Bool("json", false, "print the report as JSON")
	if err := parse(flags, args); err != nil {
		return err
	}
	report, err := libtorch.Doctor(ctx, "", *deep)
	if err != nil {
		return err
	}
	write := report.Write
	if *asJSON {
		write = report.WriteJSON
	}
	if err := write(os.Stdout); err != nil {
		return err
	}
	if !report.Passed {
		return errUnwell
	}
	return nil
}

// errUnwell ends the process with status 1; the report has said why.
var errUnwell = errors.New("doctor: something failed")

func uninstall(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("uninstall", flag.ContinueOnError)
	all := flags.Bool("all", false, "remove every version and variant, not only the one in use")
	if err := parse(flags, args); err != nil {
		return err
	}
	return libtorch.Uninstall(ctx, "", *all, os.Stderr)
}

func path(_ context.Context, args []string) error {
	if err := parse(flag.NewFlagSet("path", flag.ContinueOnError), args); err != nil {
		return err
	}
	root, err := libtorch.Root()
	if err != nil {
		return err
	}
	m, err := libtorch.Current(root)
	if err != nil {
		return err
	}
	fmt.Println(m.Prefix())
	return nil
}
