package rclone

import (
	"context"
	"fmt"
	"io"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/rclone/rclone/fs"

	"strongroom/store"
)

// find gives an object, ErrNotFound if it is not there or is no object.
func (s *Store) find(ctx context.Context, what, name string) (fs.Object, error) {
	if err := store.CheckName(name); err != nil {
		return nil, err
	}
	f, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	o, err := f.NewObject(ctx, name)
	if err != nil {
		return nil, s.explain(what, name, err)
	}
	return o, nil
}

// Get reads a range.
func (s *Store) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	if err := store.CheckRange(offset, length); err != nil {
		return nil, err
	}
	o, err := s.find(ctx, "get", name)
	if err != nil {
		return nil, err
	}
	from, to := store.Span(offset, length, max(0, o.Size()))
	switch {
	case from == to:
		return nil, nil
	case to-from > store.ObjectBytesMax: // whoever holds the storage can make a file of any size
		return nil, fmt.Errorf("%w: %s has %d bytes", store.ErrSize, name, o.Size())
	}
	var options []fs.OpenOption
	if from > 0 || to < o.Size() {
		options = append(options, &fs.RangeOption{Start: from, End: to - 1})
	}
	body, err := o.Open(ctx, options...)
	if err != nil {
		return nil, s.explain("get", name, err)
	}
	defer body.Close()
	data := make([]byte, to-from)
	if _, err := io.ReadFull(store.Download(ctx, body), data); err != nil {
		return nil, s.explain("get", name, err)
	}
	return data, nil
}

// Size is the object's size in bytes.
func (s *Store) Size(ctx context.Context, name string) (int64, error) {
	o, err := s.find(ctx, "size of", name)
	if err != nil {
		return 0, err
	}
	return o.Size(), nil
}

// Delete removes an object. Folders stay.
func (s *Store) Delete(ctx context.Context, name string) error {
	o, err := s.find(ctx, "delete", name)
	if store.ClassOf(err) == store.Absent {
		return nil
	}
	if err != nil {
		return err
	}
	if err := o.Remove(ctx); err != nil && !absent(err) {
		return s.unknown("delete", name, err)
	}
	return nil
}

// List walks the folders that can hold the prefix.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		if err := store.CheckPrefix(prefix); err != nil {
			yield(store.Info{}, err)
			return
		}
		f, err := s.open(ctx)
		if err != nil {
			yield(store.Info{}, err)
			return
		}
		s.walk(ctx, f, prefix[:max(0, strings.LastIndexByte(prefix, '/'))], prefix, yield)
	}
}

// walk lists one folder and those below; false once the caller has enough.
func (s *Store) walk(ctx context.Context, f fs.Fs, folder, prefix string, yield func(store.Info, error) bool) bool {
	entries, err := f.List(ctx, folder)
	if err != nil && !absent(err) {
		return yield(store.Info{}, s.explain("list", folder, err)) && false
	}
	last := ""
	slices.SortStableFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Remote(), b.Remote()) })
	for _, entry := range entries {
		name := entry.Remote()
		if err := ctx.Err(); err != nil { // a cut listing must not look like a whole one
			return yield(store.Info{}, err) && false
		}
		// Not ours: .tmp, somebody else's. Doubled: some clouds take two files of one name.
		if store.CheckName(name) != nil || name == last || path.Dir("/"+name) != path.Clean("/"+folder) {
			continue
		}
		switch e := entry.(type) {
		case fs.Directory:
			inside := strings.HasPrefix(name+"/", prefix) || strings.HasPrefix(prefix, name+"/")
			if inside && !s.walk(ctx, f, name, prefix, yield) {
				return false
			}
		case fs.Object:
			last = name
			if strings.HasPrefix(name, prefix) && !yield(store.Info{Name: name, Size: e.Size()}, nil) {
				return false
			}
		}
	}
	return true
}

// Sweep removes folders that hold nothing: below, and then the store's own.
func (s *Store) Sweep(ctx context.Context) error {
	f, err := s.open(ctx)
	if err != nil {
		return err
	}
	_, err = sweep(ctx, f, "")
	if err != nil && !absent(err) {
		return s.explain("sweep", "", err)
	}
	return nil
}

func sweep(ctx context.Context, f fs.Fs, folder string) (empty bool, err error) {
	entries, err := f.List(ctx, folder)
	if err != nil {
		return false, err
	}
	empty = true
	for _, entry := range entries {
		below, isFolder := entry.(fs.Directory)
		if isFolder {
			if isFolder, err = sweep(ctx, f, below.Remote()); err != nil {
				return false, err
			}
		}
		empty = empty && isFolder
	}
	if empty {
		err = f.Rmdir(ctx, folder)
	}
	return empty, err
}
