package jwt_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/jwt"
)

func TestSignAndVerify(t *testing.T) {
	key, other := ecKey(t), ecKey(t)
	compact, err := jwt.Sign(key, "k1", map[string]any{"tid": "t"})
	if err != nil {
		t.Fatal(err)
	}
	token := parse(t, compact)
	if token.Header.KeyID != "k1" || string(token.Claims) != `{"tid":"t"}` {
		t.Errorf("got %+v %s", token.Header, token.Claims)
	}
	if err := token.Verify(&key.PublicKey); err != nil {
		t.Error(err)
	}
	if token.Verify(&other.PublicKey) == nil {
		t.Error("another key verifies the token")
	}
	parts := strings.Split(compact, ".")
	forged := parse(t, parts[0]+"."+base64.RawURLEncoding.EncodeToString([]byte(`{"tid":"x"}`))+"."+parts[2])
	if forged.Verify(&key.PublicKey) == nil {
		t.Error("changed claims verify")
	}
}

func TestVerifyRSA(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(algorithm string, opts crypto.SignerOpts) string {
		signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"`+algorithm+`"}`)) + ".e30"
		digest := sha256.Sum256([]byte(signed))
		signature, err := key.Sign(rand.Reader, digest[:], opts)
		if err != nil {
			t.Fatal(err)
		}
		return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
	}
	pss := &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: rsa.PSSSaltLengthEqualsHash}
	for name, tc := range map[string]struct {
		compact string
		good    bool
	}{
		"RS256":                        {sign("RS256", crypto.SHA256), true},
		"PS256":                        {sign("PS256", pss), true},
		"PS256 that says RS256":        {sign("RS256", pss), false},
		"the algorithm of another key": {sign("ES256", crypto.SHA256), false},
		"no algorithm":                 {sign("none", crypto.SHA256), false},
		"a symmetric one":              {sign("HS256", crypto.SHA256), false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := parse(t, tc.compact).Verify(&key.PublicKey); (err == nil) != tc.good {
				t.Errorf("got %v, want good: %t", err, tc.good)
			}
		})
	}
}

// FuzzParse holds that no text makes Parse or Verify fail otherwise than with an error.
func FuzzParse(f *testing.F) {
	key := ecKey(f)
	compact, err := jwt.Sign(key, "k", map[string]any{"a": 1})
	if err != nil {
		f.Fatal(err)
	}
	signed := compact[:strings.LastIndexByte(compact, '.')+1]
	for _, seed := range []string{compact, "", "..", "e30.e30.", "a.b.c", "eyJhbGciOiJFUzI1NiJ9.e30.AAAA"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		token, err := jwt.Parse(in)
		if err == nil && token.Verify(&key.PublicKey) == nil && !strings.HasPrefix(in, signed) {
			t.Errorf("%q verifies without having been signed", in)
		}
	})
}

func ecKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func parse(t *testing.T, compact string) *jwt.Token {
	t.Helper()
	token, err := jwt.Parse(compact)
	if err != nil {
		t.Fatal(err)
	}
	return token
}
