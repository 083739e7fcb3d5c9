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
