// Package s3 keeps objects in a bucket of any S3-compatible storage:
// "s3:https://host/bucket/prefix".
//
// Put is one PUT, with If-None-Match: * where the storage honours that. Each PUT carries a random mark in the
// object's metadata, so that after a lost answer the object that stands there
// can be told from another writer's. The storage is untrusted: sizes are
// bounded and names checked; what bytes mean is for the reader to prove.
package s3

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7"

	"strongroom/store"
)

// Options are what a URL does not say.
type Options struct {
	Credentials Credentials
	Region      string            // empty: the storage is asked
	Transport   http.RoundTripper // nil: the library's
	Retries     int               // attempts of one request; 0: the library's 10
}

// Store is a bucket, or the part of it under a prefix. Use Open.
type Store struct {
	core     minio.Core
	endpoint string // scheme and host, for Location
	bucket   string
	prefix   string // empty, or ending with a slash
	probe    probe
}

// Open checks the address; it does not call the storage. The address is the
// URL after "s3:", http only on loopback.
func Open(address string, o Options) (*Store, error) {
	u, err := parse(address)
	if err != nil {
		return nil, err
	}
	keys, err := o.Credentials.provider()
	if err != nil {
		return nil, err
	}
	if o.Transport == nil {
		o.Transport, err = minio.DefaultTransport(u.Scheme == "https")
		if err != nil {
			return nil, err
		}
	}
	core, err := minio.NewCore(u.Host, &minio.Options{
		Creds:      keys,
		Secure:     u.Scheme == "https",
		Region:     o.Region,
		Transport:  watcher{o.Transport},
		MaxRetries: o.Retries,
	})
	if err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	bucket, prefix, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	if prefix != "" {
		prefix += "/"
	}
	return &Store{core: *core, endpoint: u.Scheme + "://" + u.Host, bucket: bucket, prefix: prefix}, nil
}

// parse refuses what would send keys in clear, or print them in a listing.
func parse(address string) (*url.URL, error) {
	const form = "want s3:https://HOST/BUCKET or s3:https://HOST/BUCKET/PREFIX"
	u, err := url.Parse(address)
	switch {
	case err != nil: // the error would repeat the address, keys and all
		return nil, errors.New("not an S3 address: " + form)
	case u.User != nil:
		return nil, errors.New("an S3 address holds no keys: they come by environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY); " + form)
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("not an S3 address: %q: %s", address, form)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, fmt.Errorf("%s: plain http is for this machine only (127.0.0.1): use https", u.Host)
	}
	path := strings.TrimSuffix(strings.TrimPrefix(u.Path, "/"), "/")
	for i, part := range strings.Split(path, "/") {
		if part == "" || part == "." || part == ".." {
			return nil, fmt.Errorf("not an S3 address: %q has an empty or dotted part (number %d): %s", address, i+1, form)
		}
	}
	return u, nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// List pages through the bucket, a thousand objects a request.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		if err := errors.Join(store.CheckPrefix(prefix), ctx.Err()); err != nil {
			yield(store.Info{}, err)
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		ctx, _ = withCall(ctx)
		options := minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true}
		for object := range s.core.ListObjectsIter(ctx, s.bucket, options) {
			if object.Err != nil {
				yield(store.Info{}, s.explain(ctx, "list", prefix, object.Err))
				return
			}
			name, inside := strings.CutPrefix(object.Key, s.prefix)
			if !inside || !strings.HasPrefix(name, prefix) || store.CheckName(name) != nil {
				continue // the probe, a folder mark, somebody else's object
			}
			if !yield(store.Info{Name: name, Size: object.Size}, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil { // a cut listing must not look like a whole one
			yield(store.Info{}, err)
		}
	}
}

// Delete removes an object; S3 does not say whether it was there.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := store.CheckName(name); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, _ = withCall(ctx)
	err := s.core.RemoveObject(ctx, s.bucket, s.prefix+name, minio.RemoveObjectOptions{})
	if err == nil || missing(err) {
		return nil
	}
	if !refused(err) {
		err = fmt.Errorf("%w: %w", store.ErrUnknown, err)
	}
	return s.explain(ctx, "delete", name, err)
}

// Location is the address, which holds no keys.
func (s *Store) Location() string {
	return "s3:" + s.endpoint + "/" + strings.TrimSuffix(s.bucket+"/"+s.prefix, "/")
}
