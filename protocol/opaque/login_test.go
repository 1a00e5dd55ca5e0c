package opaque

import (
	"bytes"
	"errors"
	"testing"
)

func TestLogin(t *testing.T) {
	eachSuite(t, func(t *testing.T, s *Suite) {
		for name, stretch := range map[string]Stretcher{"identity": Identity{}, "argon2id": cheap} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, s, stretch)
				l, _, ke2, expected := w.login(t, password)
				ke3, sessionKey, exportKey, err := l.Finish(ke2, stretch)
				must0(t, err)
				must0(t, expected.Check(ke3))
				if !bytes.Equal(sessionKey, expected.SessionKey) || !bytes.Equal(exportKey, w.exportKey) {
					t.Error("the sides do not agree")
				}
			})
		}
	})
}

func TestWrongPassword(t *testing.T) {
	eachSuite(t, func(t *testing.T, s *Suite) {
		w := newWorld(t, s, cheap)
		for _, wrong := range []string{"", "c", "correct horse battery stapl", "correct horse battery staple ", "Correct horse battery staple"} {
			l, _, ke2, _ := w.login(t, []byte(wrong))
			ke3, sessionKey, exportKey, err := l.Finish(ke2, cheap)
			if !errors.Is(err, ErrCredentials) || ke3 != nil || sessionKey != nil || exportKey != nil {
				t.Errorf("%q: %v, %x", wrong, err, ke3)
			}
		}
	})
}
