package s3_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"strongroom/store"
	"strongroom/store/contract"
	"strongroom/store/s3"
	"strongroom/store/s3/s3test"
	"strongroom/store/storetest"
)

var keys = s3.Credentials{AccessKeyID: s3test.AccessKeyID, SecretAccessKey: s3test.SecretAccessKey}

func open(t *testing.T, address string, transport http.RoundTripper) *s3.Store {
	t.Helper()
	s, err := s3.Open(address, s3.Options{Credentials: keys, Transport: transport, Retries: 3})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContract(t *testing.T) {
	g := s3test.Start(t)
	n := 0
	storetest.RunShared(t, contract.Whole, func(t *testing.T) contract.Open {
		n++
		address := fmt.Sprintf("%s/%s/prefix-%d/deep", g.URL, s3test.Bucket, n)
		return func() (store.Store, error) { return open(t, address, nil), nil }
	})
}

// A single PUT serves at the largest size too.
func TestLargest(t *testing.T) {
	g := s3test.Start(t)
	s := open(t, g.URL+"/"+s3test.Bucket, nil)
	data := storetest.Bytes(1, store.ObjectBytesMax)
	if err := s.Put(t.Context(), "largest", data); err != nil {
		t.Fatal(err)
	}
	got, err := s.Get(t.Context(), "largest", 0, -1)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("Get: %d bytes, %v", len(got), err)
	}
}

// Without a prefix the whole bucket is the store.
func TestWholeBucket(t *testing.T) {
	g := s3test.Start(t)
	s := open(t, g.URL+"/"+s3test.Bucket, nil)
	if err := s.Put(t.Context(), "a/b", []byte("x")); err != nil {
		t.Fatal(err)
	}
	var names []string
	for info, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, info.Name)
	}
	if fmt.Sprint(names) != "[a/b]" {
		t.Errorf("listed %v, want a/b alone, without the probe", names)
	}
	if want := "s3:" + g.URL + "/" + s3test.Bucket; s.Location() != want {
		t.Errorf("Location %s, want %s", s.Location(), want)
	}
}

func TestNoBucket(t *testing.T) {
	g := s3test.Start(t)
	s := open(t, g.URL+"/no-such-bucket", nil)
	err := s.Put(t.Context(), "a", nil)
	if err == nil || !strings.Contains(err.Error(), `no bucket "no-such-bucket"`) {
		t.Errorf("Put: %v", err)
	}
	for _, err := range s.List(t.Context(), "") {
		if err == nil || !strings.Contains(err.Error(), "no bucket") {
			t.Errorf("List: %v", err)
		}
	}
}

func TestWrongKey(t *testing.T) {
	g := s3test.Start(t)
	s, err := s3.Open(g.URL+"/"+s3test.Bucket, s3.Options{Credentials: s3.Credentials{AccessKeyID: s3test.AccessKeyID, SecretAccessKey: "canary-wrong"}})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Put(t.Context(), "a", nil)
	if err == nil || !strings.Contains(err.Error(), "AWS_SECRET_ACCESS_KEY") || strings.Contains(err.Error(), "canary") {
		t.Errorf("Put: %v", err)
	}
}

func TestAddresses(t *testing.T) {
	for _, address := range []string{
		"https://host/bucket", "https://host:9000/bucket/", "https://host/bucket/pre/fix", "http://127.0.0.1:7/bucket", "http://[::1]:7/b", "http://localhost:7/b",
	} {
		if _, err := s3.Open(address, s3.Options{Credentials: keys}); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{
		"", "host/bucket", "https://host", "https://host/", "https:///bucket", "ftp://host/bucket", "http://example.org/bucket", "http://10.0.0.1/bucket",
		"http://127.0.0.1.example.org/b", "https://host/bucket?x=1", "https://host/bucket#x", "https://host/b//c", "https://host/b/../c", "https://host/%zz",
	} {
		if _, err := s3.Open(address, s3.Options{Credentials: keys}); err == nil {
			t.Errorf("%s was taken", address)
		}
	}
	_, err := s3.Open("https://canary:canary@host/bucket", s3.Options{Credentials: keys})
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("keys in the address: %v", err)
	}
	if text := fmt.Sprintf("%v %+v %#v %s", keys, keys, keys, keys); strings.Contains(text, s3test.SecretAccessKey) {
		t.Errorf("printed: %s", text)
	}
}
