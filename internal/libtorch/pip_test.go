package libtorch

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFindPip(t *testing.T) {
	t.Run("python3 -m pip", func(t *testing.T) {
		newMachine(t)
		got, err := findPip(t.Context())
		require.NoError(t, err)
		assert.Equal(t, pip{[]string{"python3", "-m", "pip"}, "pip 24.0"}, got)
	})
	t.Run("none", func(t *testing.T) {
		m := newMachine(t)
		m.remove("python3")
		_, err := Install(t.Context(), m.config())
		require.ErrorIs(t, err, ErrNoPip)
		assert.ErrorContains(t, err, "apt-get install python3-pip")
		assert.ErrorContains(t, err, "--from libtorch.zip")
	})
	t.Run("Python without pip, and pip3", func(t *testing.T) {
		m := newMachine(t)
		m.script("python3", `echo "No module named pip" >&2; exit 1`)
		m.script("pip3", `echo "pip 23.2.1 from x"`)
		got, err := findPip(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{"pip3"}, got.Command)
	})
	t.Run("uvx", func(t *testing.T) {
		m := newMachine(t)
		m.remove("python3")
		m.script("uvx", `[ "$1" = pip ] && echo "pip 25.1 from x"`)
		got, err := findPip(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{"uvx", "pip"}, got.Command)
	})
	t.Run("too old", func(t *testing.T) {
		newMachine(t)
		t.Setenv("FAKE_PIP_VERSION", "20.2.4")
		_, err := findPip(t.Context())
		require.ErrorIs(t, err, ErrOldPip)
		assert.ErrorContains(t, err, "python3 -m pip is pip 20.2.4; want 20.3 or later")
		assert.ErrorContains(t, err, "python3 -m pip install --user --upgrade pip")
	})
	t.Run("first too old, second not", func(t *testing.T) {
		m := newMachine(t)
		t.Setenv("FAKE_PIP_VERSION", "9.0.1")
		m.script("pip3", `echo "pip 20.3 from x"`)
		got, err := findPip(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{"pip3"}, got.Command)
	})
}

// What pip prints when it cannot download, shortened; each ends as a user would read it.
func TestPipFailures(t *testing.T) {
	const giveUp = "\nERROR: Could not find a version that satisfies the requirement torch==2.11.0 (from versions: none)\nERROR: No matching distribution found for torch==2.11.0"
	for _, tt := range []struct {
		name, log string
		kind      error
		fix       string
	}{
		{"not on the index", "Looking in indexes: https://me:secret@index.example/simple" + giveUp, ErrNotOnIndex, "pip config list"},
		{"no name server", "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError(': Failed to establish a new connection: [Errno -2] Name or service not known')': /simple/torch/" + giveUp, ErrNoNetwork, "--from FILE"},
		{"refused connection", "WARNING: Retrying after connection broken by 'NewConnectionError(': [Errno 111] Connection refused')'" + giveUp, ErrNoNetwork, "--from FILE"},
		{"slow", "pip._vendor.urllib3.exceptions.ReadTimeoutError: HTTPSConnectionPool(host='index.example', port=443): Read timed out.", ErrNoNetwork, "repeat"},
		{"proxy refuses", "WARNING: Retrying after connection broken by 'ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 403 Forbidden'))': /simple/torch/" + giveUp, ErrProxy, "HTTPS_PROXY"},
		{"proxy wants a password", "WARNING: Retrying after connection broken by 'ProxyError(OSError('Tunnel connection failed: 407 Proxy Authentication Required'))'" + giveUp, ErrProxy, "global.proxy"},
		{"certificate", "Could not fetch URL https://index.example/simple/torch/: SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate in certificate chain')) - skipping" + giveUp, ErrCertificate, "global.cert"},
		{"credentials", "WARNING: 401 Error, Credentials not correct for https://index.example/simple/torch/" + giveUp, ErrRefused, "global.index-url"},
		{"forbidden", "ERROR: HTTP error 403 while getting https://index.example/packages/torch.whl\nERROR: 403 Client Error: Forbidden for url: https://index.example/packages/torch.whl", ErrRefused, "global.index-url"},
		{"other content", "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n    torch==2.11.0 from https://index.example:\n        Expected sha256 aaa\n             Got        bbb", ErrHash, "--from FILE"},
		{"disk", "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", ErrDiskFull, "FINETUNE_LIBTORCH=/bigger/disk"},
		{"old pip", "Usage: pip download [options]\n\nno such option: --progress-bar", ErrOldPip, "--upgrade pip"},
		{"anything else", "Traceback (most recent call last):\nKeyError: 'x'", ErrDownload, "what was downloaded is kept"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			t.Setenv("FAKE_LOG", tt.log)
			_, err := Install(t.Context(), m.config())
			require.ErrorIs(t, err, tt.kind)
			assert.ErrorContains(t, err, tt.fix)
			assert.ErrorContains(t, err, "(python3 -m pip download torch==1)", "says what failed")
			assert.ErrorContains(t, err, "it wrote:\n    ", "and shows pip's own words")
			assert.NotContains(t, err.Error(), "secret")
		})
	}
}

// Where the index cannot be read pip may say only that it found nothing; its verbose log has the cause.
func TestPipHidesTheCause(t *testing.T) {
	m := newMachine(t)
	m.script("python3", `case "$*" in
		*--version) echo "pip 24.0 from x" ;;
		*-vv*) echo "  Link requires a different Python"; echo "Could not fetch URL https://me:secret@index.example/simple/torch/: 403 Client Error: Forbidden for url - skipping"; exit 1 ;;
		*download*) echo "ERROR: No matching distribution found for torch==1"; exit 1 ;;
	esac`)
	_, err := Install(t.Context(), m.config())
	require.ErrorIs(t, err, ErrRefused)
	assert.ErrorContains(t, err, "Could not fetch URL https://***@index.example")
}

func TestProblem(t *testing.T) {
	cause := errors.New("cause")
	err := error(&Problem{Kind: ErrNoPip, Detail: "none runs", Fix: "first\nsecond", Err: cause})
	assert.EqualError(t, err, "pip missing: none runs: cause\n  to mend it: first\n              second")
	assert.ErrorIs(t, err, ErrNoPip)
	assert.ErrorIs(t, err, cause)
	assert.EqualError(t, &Problem{Kind: ErrNoPip, Detail: "x"}, "pip missing: x")
}
