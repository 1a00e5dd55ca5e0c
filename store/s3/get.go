package s3

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"

	"strongroom/store"
)

// readAttemptsMax: the library tries a request again, but not a body that
// breaks off half way.
const readAttemptsMax = 3

// Get reads a range by one GET.
func (s *Store) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	if err := store.CheckRange(offset, length); err != nil {
		return nil, err
	}
	if length == 0 { // HTTP knows no empty range
		_, err := s.Size(ctx, name)
		return nil, err
	}
	if err := store.CheckName(name); err != nil {
		return nil, err
	}
	var data []byte
	var err error
	for range readAttemptsMax {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var whole bool
		data, whole, err = s.read(ctx, name, offset, length)
		if err == nil || whole {
			break
		}
	}
	return data, err
}

// read is one attempt; final is false when another may help.
func (s *Store) read(ctx context.Context, name string, offset, length int64) (data []byte, final bool, err error) {
	wanted := int64(store.ObjectBytesMax + 1) // one more than may be, to notice
	if length > 0 {
		wanted = min(length, wanted)
	}
	ctx, _ = withCall(ctx)
	var options minio.GetObjectOptions
	ranged := offset > 0 || length > 0
	if ranged {
		options.Set("Range", byteRange(offset, length, wanted))
	}
	body, _, header, err := s.core.GetObject(ctx, s.bucket, s.prefix+name, options)
	switch {
	case response(err).StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return nil, true, nil // it is there, and ends before offset
	case err != nil:
		return nil, true, s.explain(ctx, "get", name, err)
	}
	defer body.Close()
	got := header.Get("Content-Range")
	if ranged && got != "" && !strings.HasPrefix(got, fmt.Sprintf("bytes %d-", offset)) {
		return nil, true, fmt.Errorf("get %s: the storage answered another range: asked from %d, got %q", name, offset, got)
	}
	if ranged && got == "" && offset > 0 {
		return nil, true, fmt.Errorf("get %s: the storage does not give ranges", name)
	}
	data, err = io.ReadAll(io.LimitReader(body, wanted))
	if err != nil {
		return nil, false, fmt.Errorf("get %s: %w", name, err)
	}
	if len(data) > store.ObjectBytesMax {
		return nil, true, fmt.Errorf("%w: %s", store.ErrSize, name)
	}
	return data, true, nil
}

func byteRange(offset, length, wanted int64) string {
	if length < 0 {
		return fmt.Sprintf("bytes=%d-", offset)
	}
	last := offset + wanted - 1
	if last < offset { // past 2^63
		return fmt.Sprintf("bytes=%d-", offset)
	}
	return fmt.Sprintf("bytes=%d-%d", offset, last)
}

// Size is what HEAD says.
func (s *Store) Size(ctx context.Context, name string) (int64, error) {
	if err := store.CheckName(name); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	ctx, _ = withCall(ctx)
	info, err := s.core.StatObject(ctx, s.bucket, s.prefix+name, minio.StatObjectOptions{})
	if err != nil {
		return 0, s.explain(ctx, "size of", name, err)
	}
	return info.Size, nil
}
