//go:build pkcs11 && cgo

package pkcs11

/*
// CK_ATTRIBUTE of PKCS#11 v2.40 §3.6, as Unix modules lay it out.
struct attribute { unsigned long type; void *value; unsigned long length; };
static unsigned char yes = 1, no = 0;
static struct attribute neverOut[2] = {
	{ 0x103, &yes, 1 }, // CKA_SENSITIVE
	{ 0x162, &no, 1 },  // CKA_EXTRACTABLE
};
static void *rule(void) { return neverOut; }
enum { ruleBytes = sizeof neverOut };
*/
import "C"

import p11 "github.com/miekg/pkcs11"

// neverOut is the CKA_UNWRAP_TEMPLATE (PKCS#11 v2.40 §4.9.1) of our wrapping
// keys: what they unwrap can not be read or taken out. Without it, a thief of
// the PIN could unwrap every stored key as an extractable one, take them home
// and guess there for ever; with it he guesses only while he has the token.
func neverOut() *p11.Attribute {
	return attribute(p11.CKA_UNWRAP_TEMPLATE, C.GoBytes(C.rule(), C.ruleBytes))
}

// generateWrapping makes a wrapping key under that rule.
func (s *session) generateWrapping(label string) error {
	return s.generateRuled(secretKey(label, p11.CKK_AES, aesBytes, p11.CKA_WRAP, p11.CKA_UNWRAP), neverOut())
}

// generateRuled makes a key that no change and no copy outlives, or one without
// these attributes and rules in a token that does not know them.
func (s *session) generateRuled(t template, rules ...*p11.Attribute) error {
	ruled := append(t[:len(t):len(t)], attribute(p11.CKA_MODIFIABLE, false), attribute(p11.CKA_COPYABLE, false))
	_, err := s.generateKey(append(ruled, rules...))
	if isCode(err, p11.CKR_ATTRIBUTE_TYPE_INVALID, p11.CKR_ATTRIBUTE_VALUE_INVALID) {
		_, err = s.generateKey(t)
	}
	return err
}
