package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"strongroom/store/rclone/rclonetest"
	"strongroom/store/s3/s3test"
)

// cloud is a story's own storage elsewhere:
//
//	cloud s3       a real S3 server with an empty bucket: sets S3 and the AWS keys
//	cloud webdav   a real WebDAV server, as the remote dav of an rclone.conf
//	cloud busy N   the S3 server answers the next N requests with 503
func cloud(t *testing.T) func(*testscript.TestScript, bool, []string) {
	var busy atomic.Int64 // of the one story that uses it
	return func(ts *testscript.TestScript, neg bool, args []string) {
		switch {
		case len(args) == 1 && args[0] == "s3":
			ts.Setenv("S3", "s3:"+front(t, s3test.Start(t).URL, &busy)+"/"+s3test.Bucket)
			ts.Setenv("AWS_ACCESS_KEY_ID", s3test.AccessKeyID)
			ts.Setenv("AWS_SECRET_ACCESS_KEY", s3test.SecretAccessKey)
			ts.Setenv("AWS_REGION", "us-east-1")
		case len(args) == 1 && args[0] == "webdav":
			conf := &rclonetest.Config{Path: filepath.Join(ts.MkAbs("."), "rclone.conf")}
			rclonetest.WebDAV(t, conf, "dav")
			ts.Setenv("RCLONE_CONFIG", conf.Path)
		case len(args) == 2 && args[0] == "busy":
			n, err := strconv.ParseInt(args[1], 10, 64)
			ts.Check(err)
			busy.Store(n)
		default:
			ts.Fatalf("cloud %q: no such thing", args)
		}
	}
}

// front carries requests as they are: their signature covers the host.
func front(t *testing.T, to string, busy *atomic.Int64) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if busy.Add(-1) >= 0 {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>")
			return
		}
		out := r.Clone(r.Context())
		out.RequestURI, out.URL.Scheme, out.URL.Host = "", "http", to[len("http://"):]
		answer, err := http.DefaultTransport.RoundTrip(out)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer answer.Body.Close()
		for name, values := range answer.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}
