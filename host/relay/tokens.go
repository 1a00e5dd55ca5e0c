package relay

import (
	"container/list"
	"crypto/sha256"
	"sync"

	"strongroom/protocol/bundle"
	"strongroom/protocol/token"
)

// tokensMax is how many checked tokens a relay remembers: at most some 6 MiB.
const tokensMax = 1 << 14

// tokens checks relay tokens, and remembers those whose signature was good:
// one recovery shows its token three times, and the signature is most of what
// a relay spends on a request. Only good tokens enter, so nobody fills it
// without an issuer; what a token says of time is looked at each time.
type tokens struct {
	issuers []bundle.Issuer
	max     int

	mu     sync.Mutex // guards what follows
	byHash map[[sha256.Size]byte]*list.Element
	oldest *list.List // of *checked, the least recently used in front
}

type checked struct {
	hash   [sha256.Size]byte // of the whole token, its signature too
	claims token.Claims
}

func newTokens(issuers []bundle.Issuer, max int) *tokens {
	return &tokens{issuers: issuers, max: max, byHash: make(map[[sha256.Size]byte]*list.Element), oldest: list.New()}
}

// check gives what a token for relays says; errors as token.Check.
func (t *tokens) check(jws string, nowUnix int64) (token.Claims, error) {
	hash := sha256.Sum256([]byte(jws))
	if c, known := t.known(hash); known && !c.Expired(nowUnix) {
		return c, nil
	}
	c, err := token.Check(jws, t.issuers, token.AudienceRelay, nowUnix)
	if err == nil {
		t.remember(checked{hash, c})
	}
	return c, err
}

func (t *tokens) known(hash [sha256.Size]byte) (token.Claims, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, known := t.byHash[hash]
	if !known {
		return token.Claims{}, false
	}
	t.oldest.MoveToBack(found)
	return found.Value.(*checked).claims, true
}

func (t *tokens) remember(c checked) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.byHash[c.hash]; known {
		return // somebody else checked it at the same time
	}
	if len(t.byHash) >= t.max {
		front := t.oldest.Front()
		delete(t.byHash, front.Value.(*checked).hash)
		t.oldest.Remove(front)
	}
	t.byHash[c.hash] = t.oldest.PushBack(&c)
}
