// Package rclone keeps objects in any remote of the user's own rclone.conf, by
// rclone as a library: "rclone:REMOTE:PATH".
//
// Built in are drive, iclouddrive, onedrive, dropbox, webdav, sftp, local, and
// alias and crypt around them.
//
// None of them has conditional writes. Put looks whether the name is free and
// then writes, so of two devices that put one name in the same moment both may
// hear nil; store.Traits says so, and spec/repository.md says why a repository
// is safe all the same. Where an upload can be seen half done (a folder, SFTP,
// WebDAV) it goes to .tmp/ first and is then renamed.
//
// rclone's configuration is global to the process. Refreshed logins are
// written back to rclone.conf, as rclone itself does: some clouds take each
// refresh token once.
package rclone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"

	_ "github.com/rclone/rclone/backend/alias"
	_ "github.com/rclone/rclone/backend/crypt"
	_ "github.com/rclone/rclone/backend/drive"
	_ "github.com/rclone/rclone/backend/dropbox"
	_ "github.com/rclone/rclone/backend/iclouddrive"
	_ "github.com/rclone/rclone/backend/local"
	_ "github.com/rclone/rclone/backend/onedrive"
	_ "github.com/rclone/rclone/backend/sftp"
	"github.com/rclone/rclone/backend/webdav"
	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/config"
	"github.com/rclone/rclone/fs/config/configfile"
	"github.com/rclone/rclone/fs/fspath"

	"strongroom/store"
)

// Kinds are the kinds of remotes that are built in.
const Kinds = "drive, iclouddrive, onedrive, dropbox, webdav, sftp, local, alias and crypt"

// lowLevelRetries is how often rclone itself repeats a request before
// store.Retry hears of it: a little, for clouds that pace each client.
const lowLevelRetries = 3

const form = "want rclone:REMOTE:PATH, with a remote of your rclone.conf"

// Store is a remote, or a folder in it. Use Open.
type Store struct {
	remote string // REMOTE:PATH

	mu sync.Mutex
	fs fs.Fs // under mu; nil until the first call

	swept sync.Once // old uploads in .tmp
}

// Open finds a remote in rclone.conf (or the file that RCLONE_CONFIG names).
// The storage is not called yet.
func Open(remote string) (*Store, error) {
	parsed, err := fspath.Parse(remote)
	switch {
	case err != nil || parsed.Name == "":
		return nil, errors.New("not an rclone address: " + form)
	case strings.HasPrefix(parsed.Name, ":") || len(parsed.Config) > 0:
		// Settings in an address would end, passwords and all, in settings
		// files and on recovery cards.
		return nil, errors.New("an rclone address holds no settings: they belong into rclone.conf; " + form)
	}
	if err := configure(); err != nil {
		return nil, err
	}
	if _, _, _, _, err := fs.ConfigFs(remote); err != nil {
		if errors.Is(err, fs.ErrorNotFoundInConfigFile) {
			return nil, fmt.Errorf("no remote is called %q in %s: make it there with rclone config, or name another file in RCLONE_CONFIG", parsed.Name, configPath())
		}
		kind, _ := fs.ConfigFileGet(parsed.Name, "type")
		return nil, fmt.Errorf("the remote %q is of the kind %q, which is not built in: there are %s", parsed.Name, kind, Kinds)
	}
	return &Store{remote: strings.TrimSuffix(remote, "/")}, nil
}

var configured struct {
	sync.Mutex
	done bool
}

// configure reads rclone.conf once a process.
func configure() error {
	configured.Lock()
	defer configured.Unlock()
	if configured.done {
		return nil
	}
	fs.SetLogger(slog.DiscardHandler) // what matters comes back as an error
	if path := os.Getenv("RCLONE_CONFIG"); path != "" {
		if err := config.SetConfigPath(path); err != nil {
			return fmt.Errorf("RCLONE_CONFIG: %w", err)
		}
	}
	if err := fs.GlobalOptionsInit(); err != nil { // RCLONE_* of the environment
		return fmt.Errorf("rclone's settings in the environment: %w", err)
	}
	global := fs.GetConfig(context.Background())
	global.AskPassword = false
	global.LowLevelRetries = lowLevelRetries
	global.Timeout = fs.Duration(store.StallTime)
	configfile.Install()
	// rclone itself would end the process over a file that it can not read.
	if err := config.Data().Load(); err != nil && !errors.Is(err, config.ErrorConfigFileNotFound) {
		return fmt.Errorf("%s: %w", configPath(), err)
	}
	config.LoadedData()
	configured.done = true
	return nil
}

func configPath() string {
	if path := config.GetConfigPath(); path != "" {
		return path
	}
	return "rclone's configuration in memory"
}

// open connects at the first call. What it makes lives longer than that call,
// so the call's end must not end it.
func (s *Store) open(ctx context.Context) (fs.Fs, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fs != nil {
		return s.fs, nil
	}
	f, err := fs.NewFs(context.WithoutCancel(ctx), s.remote)
	if errors.Is(err, fs.ErrorIsFile) {
		return nil, store.Classed(store.Refused, fmt.Errorf("%s is a file, not a folder", s.Location()))
	}
	if err != nil {
		return nil, s.explain("open", "", err)
	}
	s.fs = f
	return f, nil
}

// Location is "rclone:", the remote's name and the path in it.
func (s *Store) Location() string { return "rclone:" + s.remote }

// Traits: no conditional writes anywhere; the clouds keep what is deleted for
// a while, as trash or as old versions.
func (s *Store) Traits(ctx context.Context) (store.Traits, error) {
	f, err := s.open(ctx)
	if err != nil {
		return store.Traits{}, err
	}
	info := fs.FindFromFs(under(f))
	keeps := info != nil && (info.Name == "drive" || info.Name == "onedrive" || info.Name == "dropbox" || info.Name == "iclouddrive")
	return store.Traits{Versions: keeps}, nil
}

// under is the remote below wrappers.
func under(f fs.Fs) fs.Fs {
	for unwrap := f.Features().UnWrap; unwrap != nil; unwrap = f.Features().UnWrap {
		f = unwrap()
	}
	return f
}

// shows: an upload can be seen half done, or a killed one be left so.
func shows(f fs.Fs) bool {
	_, dav := under(f).(*webdav.Fs)
	return (dav || under(f).Features().PartialUploads) && f.Features().Move != nil
}
