// Package rclonetest starts real `rclone serve` servers over a folder and
// writes the rclone.conf that reaches them, for tests.
package rclonetest

import (
	"fmt"
	"net"
	"os"
	"sync"
	"testing"

	"github.com/rclone/rclone/fs/config/obscure"

	"strongroom/store/storetest"
)

const (
	user     = "anna"
	password = "test-password"
)

// Config is an rclone.conf that tests add remotes to. rclone reads it anew
// when it has changed.
type Config struct {
	Path string

	mu   sync.Mutex
	text string // under mu
}

// Add adds a remote; settings are pairs of key and value.
func (c *Config) Add(t testing.TB, name, kind string, settings ...string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text += fmt.Sprintf("[%s]\ntype = %s\n", name, kind)
	for i := 0; i < len(settings); i += 2 {
		c.text += fmt.Sprintf("%s = %s\n", settings[i], settings[i+1])
	}
	if err := os.WriteFile(c.Path, []byte(c.text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// WebDAV serves a folder by WebDAV and adds it as a remote.
func WebDAV(t testing.TB, c *Config, name string) (folder string) {
	folder = t.TempDir()
	address := serve(t, "webdav", folder)
	c.Add(t, name, "webdav", "url", "http://"+address, "vendor", "other", "user", user, "pass", obscure.MustObscure(password), "pacer_min_sleep", "1ms")
	return folder
}

// SFTP serves a folder by SFTP and adds it as a remote.
func SFTP(t testing.TB, c *Config, name string) (folder string) {
	folder = t.TempDir()
	host, port, err := net.SplitHostPort(serve(t, "sftp", folder))
	if err != nil {
		t.Fatal(err)
	}
	c.Add(t, name, "sftp", "host", host, "port", port, "user", user, "pass", obscure.MustObscure(password), "shell_type", "none")
	return folder
}

func serve(t testing.TB, protocol, folder string) string {
	t.Helper()
	return storetest.Serve(t, "rclone", []string{"RCLONE_CONFIG=/dev/null"}, func(address string) []string {
		return []string{"serve", protocol, folder, "--addr", address, "--user", user, "--pass", password, "--vfs-cache-mode", "off"}
	})
}
