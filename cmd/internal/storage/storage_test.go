package storage

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestOpen(t *testing.T) {
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	temp := t.TempDir()
	t.Setenv("RCLONE_CONFIG", filepath.Join(temp, "rclone.conf")) // there is none; rclone takes remotes from the environment too
	t.Setenv("RCLONE_CONFIG_MINE_TYPE", "local")
	aws := map[string]string{"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "canary"}
	own := map[string]string{"STRONGROOM_S3_ACCESS_KEY_ID": "id", "STRONGROOM_S3_SECRET_ACCESS_KEY": "canary", "AWS_ACCESS_KEY_ID": "x"}
	for _, c := range []struct {
		url, location, errorText string
		env                      map[string]string
	}{
		{"file:" + temp, "file:" + temp, "", nil},
		{"file://" + temp + "/not/there/", "file:" + temp + "/not/there", "", nil},
		{temp, "file:" + temp, "", nil},
		{"relative", "file:" + here + "/relative", "", nil},
		{"./odd:name", "file:" + here + "/odd:name", "", nil},
		{"s3:https://host/bucket/prefix/", "s3:https://host/bucket/prefix", "", aws},
		{"s3:http://127.0.0.1:9/bucket", "s3:http://127.0.0.1:9/bucket", "", own},
		{"s3:https://host/bucket", "s3:https://host/bucket", "", nil}, // a profile or a role may have a key
		{"s3:https://host/bucket", "", "half an access key", map[string]string{"AWS_ACCESS_KEY_ID": "id"}},
		{"rclone:mine:backups/anna", "rclone:mine:backups/anna", "", nil},
		{"rclone:nobody:x", "", `no remote is called "nobody"`, nil},
		{"rclone:", "", "rclone:REMOTE:PATH", nil},
		{"s3:http://host/bucket", "", "use https", aws},
		{"s3:", "", "s3:https://HOST/BUCKET", aws},
		{"", "", "file:/absolute/path", nil},
		{"file:", "", "no folder", nil},
		{"https://host/bucket", "", "s3:https://", nil},
		{"gdrive:backups", "", "rclone:gdrive:backups", nil},
		{"file:" + here + "/storage.go", "", "is a file", nil},
	} {
		s, err := open(c.url, func(name string) string { return c.env[name] })
		if c.errorText != "" {
			if err == nil || !strings.Contains(err.Error(), c.errorText) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%q: %v, want an error with %q", c.url, err, c.errorText)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", c.url, err)
		} else if s.Location() != c.location {
			t.Errorf("%q: %s, want %s", c.url, s.Location(), c.location)
		}
	}
}
