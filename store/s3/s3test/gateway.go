// Package s3test starts a real S3 server, versitygw, over a folder, for tests.
package s3test

import (
	"context"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"strongroom/store/storetest"
)

const (
	// AccessKeyID and SecretAccessKey are those of every gateway.
	AccessKeyID     = "test-access-key"
	SecretAccessKey = "test-secret-key"
	// Bucket is there from the start.
	Bucket = "bucket"
)

// Gateway is a running server.
type Gateway struct {
	URL    string // http://127.0.0.1:PORT
	Folder string // what it keeps, as files

	Client *minio.Client // the library's own, for what a test prepares and looks at
}

// Start starts a server on a free loopback port and makes Bucket. The test
// stops it.
func Start(t testing.TB) *Gateway { return start(t, minio.MakeBucketOptions{}) }

// StartLocked is Start with versions kept and object lock on the bucket.
func StartLocked(t testing.TB) *Gateway {
	return start(t, minio.MakeBucketOptions{ObjectLocking: true}, "--versioning-dir", t.TempDir())
}

func start(t testing.TB, bucket minio.MakeBucketOptions, options ...string) *Gateway {
	t.Helper()
	g := &Gateway{Folder: t.TempDir()}
	environment := []string{"ROOT_ACCESS_KEY=" + AccessKeyID, "ROOT_SECRET_KEY=" + SecretAccessKey}
	address := storetest.Serve(t, "versitygw", environment, func(address string) []string {
		return append(append([]string{"--port", address, "--quiet", "posix"}, options...), g.Folder)
	})
	g.URL = "http://" + address
	var err error
	g.Client, err = minio.New(address, &minio.Options{Creds: credentials.NewStaticV4(AccessKeyID, SecretAccessKey, ""), Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Client.MakeBucket(context.Background(), Bucket, bucket); err != nil {
		t.Fatalf("versitygw makes no bucket: %v", err)
	}
	return g
}
