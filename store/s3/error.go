package s3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/minio/minio-go/v7"

	"strongroom/store"
)

// response is the storage's own answer in an error, however wrapped.
func response(err error) minio.ErrorResponse {
	var e minio.ErrorResponse
	if !errors.As(err, &e) {
		return minio.ErrorResponse{}
	}
	return e
}

// missing: the object is not there. A missing bucket is another matter.
func missing(err error) bool {
	e := response(err)
	return e.StatusCode == http.StatusNotFound && e.Code != minio.NoSuchBucket
}

// taken: If-None-Match found an object. 409 is AWS's answer to the loser of
// two PUTs at once.
func taken(err error) bool {
	e := response(err)
	return e.StatusCode == http.StatusPreconditionFailed
}

// refused: the storage said no, so it did nothing.
func refused(err error) bool {
	e := response(err)
	unclear := e.StatusCode >= 500 && e.StatusCode != http.StatusInsufficientStorage || e.StatusCode == http.StatusRequestTimeout || e.StatusCode == http.StatusConflict
	return e.StatusCode >= 300 && !unclear
}

// advice is what a person can do about a refusal, by the storage's own code.
var advice = map[string]string{
	minio.AccessDenied:                   "the access key may not do this: it needs GetObject, PutObject, DeleteObject and ListBucket",
	"Forbidden":                          "the access key may not do this: it needs GetObject, PutObject, DeleteObject and ListBucket",
	"AllAccessDisabled":                  "the bucket's owner closed it",
	"AccountProblem":                     "there is a problem with the storage account: its provider knows (an unpaid bill?)",
	"InvalidAccessKeyId":                 "the storage does not know this access key or its secret: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
	"SignatureDoesNotMatch":              "the storage does not know this access key or its secret: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
	"ExpiredToken":                       "the session token has expired: log in again (aws sso login), or set new keys",
	"InvalidToken":                       "the session token is not good: log in again (aws sso login), or set new keys",
	"RequestTimeTooSkewed":               "this machine's clock is wrong: set it",
	"RequestExpired":                     "this machine's clock is wrong: set it",
	"PermanentRedirect":                  "the bucket is in another region: give that region's address, or set AWS_REGION",
	"AuthorizationHeaderMalformed":       "the bucket is in another region: give that region's address, or set AWS_REGION",
	"IllegalLocationConstraintException": "the bucket is in another region: give that region's address, or set AWS_REGION",
}

// fullCodes are the answers of storages that have no room.
var fullCodes = map[string]bool{
	"XMinioStorageFull": true, "XMinioAdminBucketQuotaExceeded": true, "QuotaExceeded": true, "InsufficientStorage": true, "InsufficientCapacity": true,
}

// explain classes an error and says what a person can do.
func (s *Store) explain(ctx context.Context, what, name string, err error) error {
	e := response(err)
	told := fmt.Errorf("%s: %s %s: %w", s.Location(), what, name, err)
	say := func(format string, a ...any) error {
		return fmt.Errorf("%s: %s %s: %s: %w", s.Location(), what, name, fmt.Sprintf(format, a...), err)
	}
	switch {
	case missing(err):
		return fmt.Errorf("%w: %s", store.ErrNotFound, name)
	case e.Code == minio.NoSuchBucket:
		return store.Classed(store.Refused, say("there is no bucket %q: make it first", s.bucket))
	case errors.Is(err, errNoKey):
		return store.Classed(store.Refused, told)
	case fullCodes[e.Code] || e.StatusCode == http.StatusInsufficientStorage:
		return store.Classed(store.Full, say("no room left, or the quota is used up; nothing was kept of this object"))
	case advice[e.Code] != "":
		return store.Classed(store.Refused, say("%s", advice[e.Code]))
	case e.StatusCode == http.StatusUnauthorized || e.StatusCode == http.StatusForbidden || e.StatusCode == http.StatusMovedPermanently:
		return store.Classed(store.Refused, say("the storage refuses (%d %s)", e.StatusCode, e.Code))
	case e.StatusCode >= 500 || e.StatusCode == http.StatusTooManyRequests || e.StatusCode == http.StatusRequestTimeout || e.StatusCode == http.StatusConflict:
		answer := fmt.Sprintf("the storage answers %d %s", e.StatusCode, e.Code)
		return store.After(callOf(ctx).asked(), store.Briefly(answer, say("%s", answer)))
	}
	var certificate *tls.CertificateVerificationError
	var line *url.Error
	switch {
	case errors.As(err, &certificate):
		return store.Classed(store.Refused, say("its certificate is not trusted here, so nothing was sent"))
	case errors.As(err, &line) && !errors.Is(err, context.Canceled): // no answer; the library words some of these anew
		return store.Classed(store.Temporary, store.Briefly("no connection to the storage: "+line.Err.Error(), told))
	}
	return told
}

// retryAfterMax bounds what a storage may ask for.
const retryAfterMax = 5 * time.Minute
