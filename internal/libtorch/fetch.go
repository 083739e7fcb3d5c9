package libtorch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// fromArchive unpacks an archive that the user named.
func (in *installation) fromArchive(ctx context.Context) (*Manifest, error) {
	dir := filepath.Join(in.Root, ".partial-archive")
	if err := errors.Join(os.RemoveAll(dir), makeDir(dir)); err != nil {
		return nil, diskProblem(err)
	}
	archive := in.From
	if u := remote(in.From); u != nil {
		archive = filepath.Join(dir, downloadFolder, "archive")
		if err := in.fetchURL(ctx, u, archive); err != nil {
			return nil, err
		}
	}
	if in.SHA256 == "" {
		in.say("the archive's hash is not checked: name it with --sha256")
	} else if err := verify(ctx, archive, in.SHA256); err != nil {
		return nil, err
	}
	in.say("unpacking %s", in.origin())
	if err := unpack(ctx, archive, dir, selection(in.CUDA), in.progress); err != nil {
		return nil, err
	}
	t, err := in.inspectArchive(ctx, dir)
	if err != nil {
		return nil, inArchive(err, in.origin())
	}
	return in.finish(&found{Tree: t}, dir, in.prefix(t.Version, FromFile), Manifest{Source: FromFile, Origin: in.origin(), SHA256: in.SHA256})
}

// inspectArchive checks what came out of an archive, the C library it was built for included.
func (in *installation) inspectArchive(ctx context.Context, dir string) (Tree, error) {
	t, err := inspectUnder(dir, in.arch)
	if err != nil {
		return t, err
	}
	if in.CUDA && !t.CUDA {
		return t, &Problem{Kind: ErrNoCUDA, Detail: "it has no libtorch_cuda.so", Fix: "name an archive built for CUDA, or leave --cuda out"}
	}
	_, err = checkGlibc(ctx, t.Glibc)
	return t, err
}

// inArchive says what an archive should have been.
func inArchive(err error, name string) error {
	var p *Problem
	if errors.As(err, &p) && p.Fix == "" {
		p.Detail = name + ": " + p.Detail
		p.Fix = "name an archive of libtorch 2.6 or later, C++11 ABI: the torch wheel, or libtorch-shared-with-deps (with libtorch/lib and libtorch/include)"
	}
	return err
}

// fetchURL downloads to path. HTTPS_PROXY and the like are honoured.
func (in *installation) fetchURL(ctx context.Context, u *url.URL, path string) error {
	if u.Scheme != "http" && u.Scheme != "https" {
		return &Problem{Kind: ErrArchive, Detail: fmt.Sprintf("%s: scheme %q is not known; want http, https or a file", u.Redacted(), u.Scheme), Fix: "download it with another tool, then: " + Command + " install --from FILE"}
	}
	if err := makeDir(filepath.Dir(path)); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return explainHTTP(ctx, u, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return &Problem{Kind: ErrRefused, Detail: fmt.Sprintf("%s answered %s", u.Redacted(), resp.Status), Fix: "check the address; or download it with another tool, then: " + Command + " install --from FILE"}
	}
	size := resp.ContentLength
	if err := needSpace(in.Root, max(size, 0)*(1+unpackedPerByte)); err != nil {
		return err
	}
	in.say("downloading %s (%s)", u.Redacted(), megabytes(max(size, 0)))
	f, err := os.Create(path)
	if err != nil {
		return diskProblem(err)
	}
	var done atomic.Int64
	stop := in.watch("  downloading", size, done.Load)
	_, err = io.Copy(f, &counter{resp.Body, &done})
	stop()
	if err != nil {
		if disk := diskProblem(err); disk != err {
			err = disk
		} else {
			err = explainHTTP(ctx, u, err)
		}
	}
	return errors.Join(err, f.Close())
}

func explainHTTP(ctx context.Context, u *url.URL, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p := &Problem{Kind: ErrNoNetwork, Detail: u.Redacted(), Err: err, Fix: "check the address and HTTPS_PROXY, then repeat"}
	switch text := err.Error(); {
	case strings.Contains(text, "x509:"), strings.Contains(text, "certificate"):
		p.Kind, p.Fix = ErrCertificate, "export SSL_CERT_FILE=/path/to/your/organisation's-ca.pem"
	case strings.Contains(text, "proxyconnect"), strings.Contains(text, "Proxy Authentication"):
		p.Kind, p.Fix = ErrProxy, "check HTTPS_PROXY and NO_PROXY"
	}
	return p
}
