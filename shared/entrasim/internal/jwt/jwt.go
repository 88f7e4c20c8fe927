// Package jwt signs and verifies JSON Web Tokens (RFC 7519) in compact form. It decides whether a signature fits; what the
// claims mean is the caller's business.
package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// Algorithms that tokens may be signed with.
const (
	ES256 = "ES256"
	RS256 = "RS256"
	PS256 = "PS256"
)

// encoding is strict, so that a token has one spelling.
var encoding = base64.RawURLEncoding.Strict()

// Header is the JOSE header.
type Header struct {
	Type      string `json:"typ,omitempty"`
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid,omitempty"`
}

// Token is a parsed token. Nothing about it is proven before Verify.
type Token struct {
	Header    Header
	Claims    json.RawMessage
	signed    string
	signature []byte
}

// Sign returns the claims as a token signed with ES256. key must be on the curve P-256.
func Sign(key *ecdsa.PrivateKey, keyID string, claims any) (string, error) {
	header, err := json.Marshal(Header{Type: "JWT", Algorithm: ES256, KeyID: keyID})
	if err != nil {
		return "", fmt.Errorf("encode header: %w", err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	signed := encoding.EncodeToString(header) + "." + encoding.EncodeToString(payload)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + encoding.EncodeToString(signature), nil
}

// Parse takes a compact token apart.
func Parse(compact string) (*Token, error) {
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return nil, errors.New("not three parts")
	}
	var decoded [3][]byte
	for i, part := range parts {
		data, err := encoding.DecodeString(part)
		if err != nil {
			return nil, fmt.Errorf("decode part %d: %w", i+1, err)
		}
		decoded[i] = data
	}
	t := &Token{Claims: decoded[1], signed: parts[0] + "." + parts[1], signature: decoded[2]}
	if err := json.Unmarshal(decoded[0], &t.Header); err != nil {
		return nil, fmt.Errorf("decode header: %w", err)
	}
	if !json.Valid(t.Claims) {
		return nil, errors.New("claims are not JSON")
	}
	return t, nil
}

// Verify checks the signature against an *ecdsa.PublicKey on P-256 or an *rsa.PublicKey. The key decides which algorithms
// are possible; a header that names another one fails.
func (t *Token) Verify(key crypto.PublicKey) error {
	digest := sha256.Sum256([]byte(t.signed))
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if t.Header.Algorithm == ES256 && len(t.signature) == 64 {
			r, s := new(big.Int).SetBytes(t.signature[:32]), new(big.Int).SetBytes(t.signature[32:])
			if ecdsa.Verify(key, digest[:], r, s) {
				return nil
			}
		}
	case *rsa.PublicKey:
		switch t.Header.Algorithm {
		case RS256:
			return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], t.signature)
		case PS256:
			return rsa.VerifyPSS(key, crypto.SHA256, digest[:], t.signature, nil)
		}
	}
	return fmt.Errorf("the %s signature does not fit the key", t.Header.Algorithm)
}
