package jwt

import (
	"crypto/ecdsa"
	"fmt"
)

// JWK is a public key as RFC 7517 writes it.
type JWK struct {
	Type      string `json:"kty"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	Y         string `json:"y"`
}

// PublicJWK describes the key that verifies ES256 signatures.
func PublicJWK(key *ecdsa.PublicKey, keyID string) (JWK, error) {
	point, err := key.Bytes() // 4, x, y
	if err != nil || len(point) != 65 {
		return JWK{}, fmt.Errorf("encode public key: not on P-256: %w", err)
	}
	return JWK{
		Type: "EC", Use: "sig", Algorithm: ES256, KeyID: keyID, Curve: "P-256",
		X: encoding.EncodeToString(point[1:33]), Y: encoding.EncodeToString(point[33:]),
	}, nil
}
