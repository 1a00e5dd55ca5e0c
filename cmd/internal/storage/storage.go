// Package storage opens the storage that a URL names, with what stands around
// every storage: retries, an eye on stalls, limits.
package storage

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"strongroom/store"
	"strongroom/store/dir"
	"strongroom/store/rclone"
	"strongroom/store/s3"
)

// Forms tells a person what Open takes.
const Forms = "file:/absolute/path, a plain path, s3:https://HOST/BUCKET/PREFIX or rclone:REMOTE:PATH"

// Options are what a URL does not say.
type Options struct {
	Limits store.Limits
	Notice func(store.Wait) // hears when a call waits to try again; may be nil
}

// Open opens a storage: "file:PATH", a plain path, "s3:https://..." or
// "rclone:REMOTE:PATH". Keys for S3 come by environment, STRONGROOM_S3_* before
// AWS_* (ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN, REGION), then from
// AWS profiles and roles; remotes are those of rclone.conf. Nothing is written
// and no storage is called yet.
func Open(url string, o Options) (store.Store, error) {
	s, err := open(url, os.Getenv)
	if err != nil {
		return nil, err
	}
	return store.Retry(store.Watch(store.Limit(s, o.Limits), store.StallTime), o.Notice), nil
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
	case scheme == "rclone":
		return rclone.Open(rest)
	case scheme == "https" || scheme == "http":
		return nil, fmt.Errorf("which kind of storage is at this address? For S3 write s3:%s://...", scheme)
	}
	return nil, fmt.Errorf("no storage of the kind %q: want %s. If %s is a remote of your rclone.conf, write rclone:%s", scheme, Forms, scheme, url)
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
		Region:  env("REGION"),
		Retries: 1, // store.Retry tries again, and says so
	})
}
