// Package storage opens the storage that a URL names.
package storage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"strongroom/store"
	"strongroom/store/dir"
	"strongroom/store/s3"
)

// Forms tells a person what Open takes.
const Forms = "file:/absolute/path, a plain path, or s3:https://HOST/BUCKET/PREFIX"

// Open opens a storage: "file:PATH", a plain path, or "s3:https://...". Keys
// for S3 come by environment, STRONGROOM_S3_* before AWS_*: ACCESS_KEY_ID,
// SECRET_ACCESS_KEY, SESSION_TOKEN, REGION. Nothing is written, and S3 is not
// called yet.
func Open(_ context.Context, url string) (store.Store, error) {
	return open(url, os.Getenv)
}

func open(url string, getenv func(string) string) (store.Store, error) {
	scheme, rest, found := strings.Cut(url, ":")
	switch {
	case url == "":
		return nil, fmt.Errorf("no storage given: want %s", Forms)
	case !found || strings.Contains(scheme, "/"): // "./a:b" is a path
		return folder(url)
	case scheme == "file":
		return folder(strings.TrimPrefix(rest, "//")) // file:///path too
	case scheme == "s3":
		return bucket(rest, getenv)
	case scheme == "https" || scheme == "http":
		return nil, fmt.Errorf("which kind of storage is at this address? For S3 write s3:%s://...", scheme)
	}
	return nil, fmt.Errorf("no storage of the kind %q: want %s", scheme, Forms)
}

func folder(path string) (store.Store, error) {
	if path == "" {
		return nil, fmt.Errorf("no folder given: want %s", Forms)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	return dir.Open(absolute)
}

func bucket(address string, getenv func(string) string) (store.Store, error) {
	env := func(name string) string {
		if own := getenv("STRONGROOM_S3_" + name); own != "" {
			return own
		}
		return getenv("AWS_" + name)
	}
	return s3.Open(address, s3.Options{
		Credentials: s3.Credentials{
			AccessKeyID:     env("ACCESS_KEY_ID"),
			SecretAccessKey: env("SECRET_ACCESS_KEY"),
			SessionToken:    env("SESSION_TOKEN"),
		},
		Region: env("REGION"),
	})
}
