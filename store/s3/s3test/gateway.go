// Package s3test starts a real S3 server, versitygw, over a folder, for tests.
package s3test

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const (
	// AccessKeyID and SecretAccessKey are those of every gateway.
	AccessKeyID     = "test-access-key"
	SecretAccessKey = "test-secret-key"
	// Bucket is there from the start.
	Bucket = "bucket"

	startTimeMax = 60 * time.Second
	pollTime     = 20 * time.Millisecond
)

// Gateway is a running server.
type Gateway struct {
	URL    string // http://127.0.0.1:PORT
	Folder string // what it keeps, as files

	client *minio.Client
}

// Start starts a server on a free loopback port, waits until it answers and
// has made Bucket. The test stops it. Without the program the test fails: the
// program is pinned in tools/go.mod and built by `make tools`.
func Start(t testing.TB) *Gateway {
	t.Helper()
	program := find(t)
	address := freeAddress(t)
	g := &Gateway{URL: "http://" + address, Folder: t.TempDir()}
	log := filepath.Join(t.TempDir(), "versitygw.log")
	output, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, program, "--port", address, "--quiet", "posix", g.Folder)
	command.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+AccessKeyID, "ROOT_SECRET_KEY="+SecretAccessKey)
	command.Stdout, command.Stderr = output, output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = command.Wait(); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })
	g.client, err = minio.New(address, &minio.Options{Creds: credentials.NewStaticV4(AccessKeyID, SecretAccessKey, ""), Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	if !g.ready(ended) {
		text, _ := os.ReadFile(log)
		t.Fatalf("versitygw does not answer on %s:\n%s", address, text)
	}
	return g
}

// ready makes the bucket as soon as the server answers.
func (g *Gateway) ready(ended <-chan struct{}) bool {
	deadline := time.After(startTimeMax)
	for {
		answer, err := http.Get(g.URL)
		if err == nil {
			answer.Body.Close()
			return g.client.MakeBucket(context.Background(), Bucket, minio.MakeBucketOptions{}) == nil
		}
		select {
		case <-ended:
			return false
		case <-deadline:
			return false
		case <-time.After(pollTime):
		}
	}
}

// find looks for .cache/bin/versitygw at the top of the module.
func find(t testing.TB) string {
	t.Helper()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			program := filepath.Join(folder, ".cache", "bin", "versitygw")
			if _, err := os.Stat(program); err != nil {
				t.Fatalf("no versitygw, a real S3 server that this test needs: run `make tools` first (%v)", err)
			}
			return program
		}
		folder = filepath.Dir(folder)
	}
	t.Fatal("no go.mod above the test's folder")
	return ""
}

func freeAddress(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
