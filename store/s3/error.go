package s3

import (
	"fmt"
	"net/http"

	"github.com/minio/minio-go/v7"

	"strongroom/store"
)

// missing: the object is not there. A missing bucket is another matter.
func missing(err error) bool {
	e := minio.ToErrorResponse(err)
	return e.StatusCode == http.StatusNotFound && e.Code != minio.NoSuchBucket
}

// taken: If-None-Match found an object. 409 is AWS's answer to the loser of
// two PUTs at once.
func taken(err error) bool {
	e := minio.ToErrorResponse(err)
	return e.StatusCode == http.StatusPreconditionFailed
}

// refused: the storage said no, so it did nothing.
func refused(err error) bool {
	e := minio.ToErrorResponse(err)
	return e.StatusCode >= 400 && e.StatusCode < 500 && e.StatusCode != http.StatusRequestTimeout &&
		e.StatusCode != http.StatusConflict
}

// explain says what a person can do.
func (s *Store) explain(what, name string, err error) error {
	if missing(err) {
		return fmt.Errorf("%w: %s", store.ErrNotFound, name)
	}
	advice := ""
	switch minio.ToErrorResponse(err).Code {
	case minio.NoSuchBucket:
		advice = fmt.Sprintf("there is no bucket %q: make it first; ", s.bucket)
	case minio.AccessDenied:
		advice = "the access key may not do this: it needs GetObject, PutObject, DeleteObject and ListBucket; "
	case "InvalidAccessKeyId", "SignatureDoesNotMatch":
		advice = "the storage does not know this access key or its secret: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; "
	case "RequestTimeTooSkewed":
		advice = "this machine's clock is wrong: set it; "
	}
	return fmt.Errorf("%s: %s %s: %s%w", s.Location(), what, name, advice, err)
}
