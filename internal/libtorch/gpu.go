package libtorch

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// oldestDriver is the first NVIDIA driver for CUDA 13, which the pinned wheels are built for.
const oldestDriver = 580

// gpu is what the operating system shows of NVIDIA's driver, without loading it.
type gpu struct {
	root    string // "/"; another folder in tests
	driver  string // version of the kernel module; "" where there is none
	devices int    // device files
	library string // libcuda.so.1
}

var driverVersion = regexp.MustCompile(`\b(\d{3,})\.\d+(\.\d+)?\b`)

func findGPU(root string) gpu {
	g := gpu{root: root}
	if text, err := os.ReadFile(filepath.Join(root, "proc/driver/nvidia/version")); err == nil {
		g.driver = driverVersion.FindString(string(text))
	}
	devices, _ := filepath.Glob(filepath.Join(root, "dev/nvidia[0-9]*"))
	wsl, _ := filepath.Glob(filepath.Join(root, "dev/dxg")) // the one device of all GPUs in WSL
	g.devices = len(devices) + len(wsl)
	for _, pattern := range []string{"usr/lib/*-linux-gnu/libcuda.so.1", "usr/lib64/libcuda.so.1", "usr/lib/libcuda.so.1", "usr/lib/wsl/lib/libcuda.so.1", "usr/local/nvidia/lib64/libcuda.so.1"} {
		if found, _ := filepath.Glob(filepath.Join(root, pattern)); len(found) > 0 {
			g.library = found[0]
		}
	}
	return g
}

// problem says why CUDA cannot be used, or nil.
func (g gpu) problem() error {
	p := &Problem{Kind: ErrDriver}
	major, _ := strconv.Atoi(strings.SplitN(g.driver, ".", 2)[0])
	switch {
	case g.devices == 0 && g.driver == "":
		p.Detail, p.Fix = "no NVIDIA driver is loaded", "install NVIDIA's driver 580 or later (lspci | grep -i nvidia shows whether there is a GPU at all)\nin a container: start it with --gpus all"
	case g.devices == 0:
		p.Detail, p.Fix = "driver "+g.driver+" is loaded but no device file /dev/nvidia0 is here", "sudo nvidia-modprobe -u -c=0\nin a container: start it with --gpus all"
	case g.library == "":
		p.Detail, p.Fix = "the driver's library libcuda.so.1 is missing", "install the user-space half of the driver (Debian: libcuda1, Ubuntu: libnvidia-compute-580)\nin a container: NVIDIA_DRIVER_CAPABILITIES=compute,utility"
	case g.driver != "" && major < oldestDriver:
		p.Detail, p.Fix = fmt.Sprintf("driver %s is too old for CUDA 13; want %d or later", g.driver, oldestDriver), "install driver 580 or later\nor name a libtorch for CUDA 12: LIBTORCH=/path "+Command+" install --cuda"
	default:
		return nil
	}
	return p
}

// names asks nvidia-smi what the devices are called; "" where it does not run.
func gpuNames(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader").Output()
	if err != nil {
		return ""
	}
	return strings.Join(strings.FieldsFunc(strings.TrimSpace(string(out)), func(r rune) bool { return r == '\n' }), "; ")
}

// examineGPU fails only an installation that is linked for CUDA: without a GPU one computes on the CPU.
func (d *doctor) examineGPU(ctx context.Context) {
	g := findGPU("/")
	err := g.problem()
	linked := d.manifest != nil && d.manifest.CUDA
	switch {
	case err != nil && linked:
		d.judge("cuda", err, "")
	case err != nil:
		d.judgeAs(Info, "cuda", err, "")
		d.Checks[len(d.Checks)-1].Fix = "" // nothing is broken
	case !linked:
		d.add("cuda", Info, "driver %s, %d devices (%s); this installation is for the CPU", g.driver, g.devices, gpuNames(ctx))
		d.Checks[len(d.Checks)-1].Fix = Command + " install --cuda --persist"
	default:
		d.add("cuda", OK, "driver %s, %d devices (%s)", g.driver, g.devices, gpuNames(ctx))
	}
}
