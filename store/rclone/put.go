package rclone

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/hash"
	"github.com/rclone/rclone/fs/object"

	"strongroom/store"
)

const (
	// tempFolder has a dot in its name, so no object can be named like it.
	tempFolder = ".tmp"
	tempAgeMax = 24 * time.Hour // older ones belong to no living Put
	// cleanTimeMax bounds the tidying after a call that may be cancelled.
	cleanTimeMax = 10 * time.Second
)

// Put looks whether the name is free, and writes.
func (s *Store) Put(ctx context.Context, name string, data []byte) error {
	if err := store.CheckPut(name, data); err != nil {
		return err
	}
	f, err := s.open(ctx)
	if err != nil {
		return err
	}
	switch _, err := f.NewObject(ctx, name); {
	case err == nil:
		return fmt.Errorf("%w: %s", store.ErrExists, name)
	case errors.Is(err, fs.ErrorIsDir):
		return fmt.Errorf("%w: %s is a folder", store.ErrName, name)
	case !absent(err):
		return s.explain("put", name, err)
	}
	if shows(f) {
		return s.putAside(ctx, f, name, data)
	}
	o, err := send(ctx, f, name, data)
	if err != nil {
		return s.unknown("put", name, err)
	}
	return s.kept(ctx, o, name, data)
}

// putAside uploads beside the name and renames.
func (s *Store) putAside(ctx context.Context, f fs.Fs, name string, data []byte) error {
	s.swept.Do(func() { sweepTemp(ctx, f) })
	temp := tempFolder + "/put-" + strings.ToLower(rand.Text())
	o, err := send(ctx, f, temp, data)
	if err == nil {
		err = s.kept(ctx, o, name, data)
	}
	if err != nil {
		drop(ctx, f, temp)
		return s.again(ctx, name, err)
	}
	if _, err = f.Features().Move(ctx, o, name); err == nil {
		return nil
	}
	// Did the rename happen? While the upload is where it was, no.
	look, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeMax)
	defer cancel()
	if left, lookErr := f.NewObject(look, temp); lookErr == nil && left.Remove(look) == nil {
		return s.again(ctx, name, err)
	}
	return s.unknown("put", name, err)
}

// again: nothing stands under the name. What a server says of its own
// unfinished files ("does not exist") may be otherwise in a moment.
func (s *Store) again(ctx context.Context, name string, err error) error {
	told := s.explain("put", name, err)
	if store.ClassOf(told) == store.Permanent && ctx.Err() == nil {
		return store.Classed(store.Temporary, told)
	}
	return told
}

func send(ctx context.Context, f fs.Fs, name string, data []byte) (fs.Object, error) {
	info := object.NewStaticObjectInfo(name, time.Now(), int64(len(data)), true, nil, nil)
	return f.Put(ctx, store.Upload(ctx, bytes.NewReader(data)), info)
}

// kept checks that the storage has what it was sent: the size always, the
// hash where the storage tells it for nothing.
func (s *Store) kept(ctx context.Context, o fs.Object, name string, data []byte) error {
	if o.Size() != int64(len(data)) {
		return store.Classed(store.Temporary, fmt.Errorf("put %s: the storage kept %d of %d bytes: %w", name, o.Size(), len(data), store.ErrUnknown))
	}
	if o.Fs().Features().SlowHash {
		return nil
	}
	kind := o.Fs().Hashes().GetOne()
	if kind == hash.None {
		return nil
	}
	said, err := o.Hash(ctx, kind)
	if err != nil || said == "" { // not told for this object
		return nil
	}
	sums, err := hash.StreamTypes(bytes.NewReader(data), hash.NewHashSet(kind))
	if err == nil && !hash.Equals(said, sums[kind]) {
		err = store.Classed(store.Permanent, fmt.Errorf("put %s: the storage kept other bytes than it was sent (%s %s)", name, kind, said))
	}
	return err
}

func drop(ctx context.Context, f fs.Fs, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeMax)
	defer cancel()
	if o, err := f.NewObject(ctx, name); err == nil {
		_ = o.Remove(ctx) // left to a later sweep
	}
}

// sweepTemp removes what killed programs left, as far as it can.
func sweepTemp(ctx context.Context, f fs.Fs) {
	entries, err := f.List(ctx, tempFolder)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if o, ok := entry.(fs.Object); ok && time.Since(o.ModTime(ctx)) > tempAgeMax {
			_ = o.Remove(ctx)
		}
	}
}
