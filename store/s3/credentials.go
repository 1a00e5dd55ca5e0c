package s3

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// metadataTimeMax bounds the question for an instance's role: on a machine
// outside a cloud nobody answers.
const metadataTimeMax = 3 * time.Second

// errNoKey: nobody has an access key for us.
var errNoKey = errors.New("no access key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or STRONGROOM_S3_ACCESS_KEY_ID and STRONGROOM_S3_SECRET_ACCESS_KEY), or AWS_PROFILE for one of ~/.aws/credentials")

// Credentials name an access key. Nothing of it is printed.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string // may be empty
}

// Format prints nothing of the secrets, whatever the verb.
func (Credentials) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[S3 credentials]")) }

// provider gives the keys themselves, or, where there are none, looks when the
// first request wants them: AWS profile files (with SSO and credential_process),
// then the role of this instance, container or pod.
func (c Credentials) provider() (*credentials.Credentials, error) {
	switch {
	case c.AccessKeyID != "" && c.SecretAccessKey != "":
		return credentials.NewStaticV4(c.AccessKeyID, c.SecretAccessKey, c.SessionToken), nil
	case c.AccessKeyID != "" || c.SecretAccessKey != "":
		return nil, errors.New("half an access key: both its id and its secret are needed (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)")
	}
	s := &search{in: []credentials.Provider{&credentials.FileAWSCredentials{}}}
	if os.Getenv("AWS_EC2_METADATA_DISABLED") != "true" {
		s.in = append(s.in, &credentials.IAM{Client: &http.Client{Timeout: metadataTimeMax}})
	}
	return credentials.New(s), nil
}

// search takes the first provider that has a key. The library's own chain
// goes on without any key instead of saying so.
type search struct {
	in    []credentials.Provider
	found credentials.Provider
}

func (s *search) RetrieveWithCredContext(c *credentials.CredContext) (credentials.Value, error) {
	var failed []error
	for _, p := range s.in {
		v, err := p.RetrieveWithCredContext(c)
		if err == nil && v.AccessKeyID != "" {
			s.found = p
			return v, nil
		}
		failed = append(failed, err)
	}
	return credentials.Value{}, fmt.Errorf("%w (looked: %w)", errNoKey, errors.Join(failed...))
}

func (s *search) Retrieve() (credentials.Value, error) { return s.RetrieveWithCredContext(nil) }

func (s *search) IsExpired() bool { return s.found == nil || s.found.IsExpired() }
