package s3_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"strongroom/store"
	"strongroom/store/s3"
	"strongroom/store/s3/s3test"
)

// Each way in which a bucket refuses has its class and says what to do.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		class  store.Class
		says   string
	}{
		{403, "AccessDenied", store.Refused, "needs GetObject, PutObject"},
		{403, "InvalidAccessKeyId", store.Refused, "does not know this access key"},
		{403, "SignatureDoesNotMatch", store.Refused, "does not know this access key"},
		{400, "ExpiredToken", store.Refused, "has expired"},
		{403, "RequestTimeTooSkewed", store.Refused, "clock is wrong"},
		{301, "PermanentRedirect", store.Refused, "another region"},
		{400, "AuthorizationHeaderMalformed", store.Refused, "another region"},
		{404, "NoSuchBucket", store.Refused, `no bucket "bucket"`},
		{403, "SomethingNew", store.Refused, "403 SomethingNew"},
		{507, "InsufficientStorage", store.Full, "no room left"},
		{400, "XMinioAdminBucketQuotaExceeded", store.Full, "quota"},
		{503, "SlowDown", store.Temporary, "answers 503 SlowDown"},
		{500, "InternalError", store.Temporary, "answers 500"},
		{429, "TooManyRequests", store.Temporary, "answers 429"},
		{400, "EntityTooSmall", store.Permanent, "EntityTooSmall"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(c.status)
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", c.code, c.code)
		}))
		s, err := s3.Open(server.URL+"/bucket", s3.Options{Credentials: keys, Region: "us-east-1", Retries: 1})
		if err != nil {
			t.Fatal(err)
		}
		_, getErr := s.Get(t.Context(), "a", 0, -1)
		var listErr error
		for _, listErr = range s.List(t.Context(), "") {
		}
		for what, err := range map[string]error{"put": s.Put(t.Context(), "a", []byte("x")), "get": getErr, "list": listErr, "delete": s.Delete(t.Context(), "a")} {
			if err == nil || store.ClassOf(err) != c.class || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%d %s: %s: class %v, %v; want %v and %q", c.status, c.code, what, store.ClassOf(err), err, c.class, c.says)
			}
		}
		server.Close()
	}
}

// The storage says how long it wants to be left alone.
func TestRetryAfter(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("ETag", `"x"`)
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
	}))
	defer server.Close()
	inner, err := s3.Open(server.URL+"/bucket", s3.Options{Credentials: keys, Region: "us-east-1", Retries: 1})
	if err != nil {
		t.Fatal(err)
	}
	var waits []store.Wait
	s := store.Retry(inner, func(w store.Wait) { waits = append(waits, w) })
	if _, err := s.Size(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	if len(waits) != 1 || waits[0].For < time.Second || !strings.Contains(waits[0].Err.Error(), "answers 503") {
		t.Errorf("waits %v, want one of a second that names the 503", waits)
	}
}

// Keys come from a profile file too; where there is none anywhere, that is said.
func TestKeysFromElsewhere(t *testing.T) {
	g := s3test.Start(t)
	file := filepath.Join(t.TempDir(), "credentials")
	text := fmt.Sprintf("[other]\naws_access_key_id = %s\naws_secret_access_key = %s\n", s3test.AccessKeyID, s3test.SecretAccessKey)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for profile, ok := range map[string]bool{"other": true, "absent": false} {
		t.Setenv("AWS_PROFILE", profile)
		s, err := s3.Open(g.URL+"/"+s3test.Bucket, s3.Options{Region: "us-east-1", Retries: 3})
		if err != nil {
			t.Fatal(err)
		}
		err = s.Put(t.Context(), "by-profile", []byte("x"))
		if ok && err != nil {
			t.Errorf("profile %s: %v", profile, err)
		}
		if !ok && (store.ClassOf(err) != store.Refused || !strings.Contains(err.Error(), "AWS_PROFILE")) {
			t.Errorf("profile %s: class %v, %v; want Refused, and what to set", profile, store.ClassOf(err), err)
		}
	}
	if _, err := s3.Open(g.URL+"/"+s3test.Bucket, s3.Options{Credentials: s3.Credentials{AccessKeyID: "x"}}); err == nil {
		t.Error("half a key was taken")
	}
}

// A bucket with versions and object lock: Delete hides, the bytes stay.
// Prune gains no room there before the lock ends.
func TestLockedBucket(t *testing.T) {
	g := s3test.StartLocked(t)
	days, mode, unit := uint(1), minio.Compliance, minio.Days
	if err := g.Client.SetObjectLockConfig(t.Context(), s3test.Bucket, &mode, &days, &unit); err != nil {
		t.Fatal(err)
	}
	s := open(t, g.URL+"/"+s3test.Bucket, nil)
	traits, err := s.Traits(t.Context())
	if err != nil || traits != (store.Traits{Conditional: true, Versions: true, Locked: true}) {
		t.Errorf("traits %+v, %v; want all", traits, err)
	}
	if err := s.Put(t.Context(), "p/a", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "p/a"); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	if _, err := s.Size(t.Context(), "p/a"); store.ClassOf(err) != store.Absent {
		t.Errorf("Size after Delete: %v", err)
	}
	for info := range s.List(t.Context(), "") {
		t.Errorf("%s is listed after Delete", info.Name)
	}
	versions, marks := 0, 0
	for v := range g.Client.ListObjects(t.Context(), s3test.Bucket, minio.ListObjectsOptions{Prefix: "p/a", WithVersions: true, Recursive: true}) {
		if v.IsDeleteMarker {
			marks++
		} else if versions++; v.Err == nil {
			err := g.Client.RemoveObject(t.Context(), s3test.Bucket, v.Key, minio.RemoveObjectOptions{VersionID: v.VersionID})
			if err == nil {
				t.Error("a locked version could be deleted")
			}
		}
	}
	if versions != 1 || marks != 1 {
		t.Errorf("%d versions and %d marks stand there, want one each", versions, marks)
	}
	// AWS gives the name free again, versitygw holds it taken by the mark.
	// Nothing rests on it: no name is ever used twice.
	if err := s.Put(t.Context(), "p/a", []byte("again")); err != nil && !errors.Is(err, store.ErrExists) {
		t.Errorf("Put after Delete: %v", err)
	}
}

// A line that breaks is temporary, however the library words it; a certificate
// that nobody vouches for is not.
func TestLineClass(t *testing.T) {
	hangup := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer hangup.Close()
	foreign := httptest.NewTLSServer(http.NotFoundHandler())
	defer foreign.Close()
	foreign.Config.ErrorLog = log.New(io.Discard, "", 0)
	for address, want := range map[string]store.Class{hangup.URL: store.Temporary, "http://127.0.0.1:9": store.Temporary, foreign.URL: store.Refused} {
		s, err := s3.Open(address+"/bucket", s3.Options{Credentials: keys, Region: "us-east-1", Retries: 1})
		if err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{"put": s.Put(t.Context(), "a", nil), "delete": s.Delete(t.Context(), "a")} {
			if err == nil || store.ClassOf(err) != want {
				t.Errorf("%s: %s: class %v, %v; want %v", address, what, store.ClassOf(err), err, want)
			}
		}
	}
}
