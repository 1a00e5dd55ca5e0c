package rclone

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"time"

	webdav "github.com/rclone/rclone/backend/webdav/api"
	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/fserrors"

	"strongroom/store"
)

// What clouds say in words alone, in lower case.
var (
	fullWords = []string{"insufficient_space", "insufficient storage", "storagequotaexceeded", "quotalimitreached", "quota exceeded", "quota has been exceeded",
		"no space left", "not enough space"}
	refusedWords = []string{"invalid_grant", "invalid_client", "expired_access_token", "invalid_access_token", "token expired", "couldn't fetch token",
		"unauthenticated", "unable to authenticate", "permission denied", "access denied", "accessdenied", "401 unauthorized", "403 forbidden",
		"error 401", "error 403", "missing pcs cookies", "invalid session", "knownhosts: "}
	temporaryWords = []string{"unexpected eof", "connection lost", "connection reset", "broken pipe", "connection refused", "timeout", "too_many_requests",
		"too_many_write_operations"}
)

// absent: no such object, or none that could be one.
func absent(err error) bool {
	for _, one := range []error{fs.ErrorObjectNotFound, fs.ErrorDirNotFound, fs.ErrorIsDir, fs.ErrorNotAFile, syscall.ENOTDIR, syscall.ENOENT} {
		if errors.Is(err, one) {
			return true
		}
	}
	return strings.Contains(err.Error(), "not a directory") // SFTP tells it in words alone
}

// explain classes an error and says what a person can do.
func (s *Store) explain(what, name string, err error) error {
	told := fmt.Errorf("%s: %s: %w", s.Location(), strings.TrimSpace(what+" "+name), err)
	words := strings.ToLower(err.Error())
	var dav *webdav.Error
	status := 0
	if errors.As(err, &dav) {
		status = dav.StatusCode
	}
	busy := status >= 500 || status == http.StatusTooManyRequests
	if busy {
		told = store.Briefly(fmt.Sprintf("the storage answers %d", status), told)
	}
	switch {
	case name != "" && what != "put" && absent(err):
		return fmt.Errorf("%w: %s", store.ErrNotFound, name)
	case status == http.StatusInsufficientStorage || fserrors.IsErrNoSpace(err) || says(words, fullWords):
		return store.Classed(store.Full, fmt.Errorf("no room left, or the quota is used up; nothing was kept of this object: %w", told))
	case fserrors.IsRetryAfterError(err):
		return store.After(time.Until(fserrors.RetryAfterErrorTime(err)), told)
	case busy || fserrors.IsRetryError(err):
		return store.Classed(store.Temporary, told)
	case status == http.StatusUnauthorized || status == http.StatusForbidden || says(words, refusedWords):
		return store.Classed(store.Refused, fmt.Errorf("the storage refuses: look at this remote with rclone config (reconnect), and at what it may do there: %w", told))
	case fserrors.ShouldRetry(err) || says(words, temporaryWords):
		return store.Classed(store.Temporary, told)
	}
	return told
}

// unknown is explain for a write that may have happened, unless the storage
// said clearly that it did not.
func (s *Store) unknown(what, name string, err error) error {
	told := s.explain(what, name, err)
	if class := store.ClassOf(told); class == store.Full || class == store.Refused {
		return told
	}
	return store.Classed(store.Temporary, fmt.Errorf("%w: %w", store.ErrUnknown, told))
}

func says(words string, any []string) bool {
	for _, one := range any {
		if strings.Contains(words, one) {
			return true
		}
	}
	return false
}
