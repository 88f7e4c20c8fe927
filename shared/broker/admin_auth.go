package broker

import (
	"net/http"
	"strings"

	"github.com/tenantsync/tenantsync/shared/broker/internal/atom"
)

// authorizeHTTP finds out what a request may do: its Authorization header has a shared access signature for the path or
// a parent of it or, where Options.AcceptJWT says so, any other token, with the scheme Bearer or, as the Go client sends
// it, without.
func (s *Server) authorizeHTTP(r *http.Request, path string) (Key, error) {
	token := r.Header.Get("Authorization")
	switch {
	case strings.HasPrefix(token, signatureScheme):
		g, err := s.verify(token, path)
		if err != nil {
			return Key{}, unauthorized(err.Error())
		}
		return g.key, nil
	case token == "":
		return Key{}, unauthorized("MissingToken: There is no token in the Authorization header.")
	case s.options.AcceptJWT:
		return Key{Listen: true, Send: true, Manage: true}, nil
	}
	return Key{}, unauthorized("InvalidToken: Only shared access signatures are accepted.")
}

func unauthorized(detail string) error {
	return atom.Error{Code: http.StatusUnauthorized, Detail: detail}
}

func badValue(detail string) error {
	return atom.Error{Code: http.StatusBadRequest, Detail: "SubCode=40000. Bad Request. " + detail}
}
