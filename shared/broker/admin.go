package broker

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/tenantsync/tenantsync/shared/broker/internal/atom"
)

// The addresses of the management API that are no queue. Case does not matter.
const (
	queuesResource    = "$resources/queues"
	topicsResource    = "$resources/topics"
	namespaceResource = "$namespaceinfo"
)

// defaultPage is how many queues a list has if the client does not say.
const defaultPage = 100

// admin is the management API over HTTP, as far as it is about queues:
//
//	PUT    /{queue}                         creates a queue; with If-Match, replaces its description
//	GET    /{queue}                         describes it; for a name nobody has, the feed atom.NoEntity
//	DELETE /{queue}                         deletes it
//	GET    /$Resources/Queues?$skip=&$top=  lists them by name
//	GET    /$namespaceinfo                  describes the broker
//
// Names may contain slashes, escaped or not. Every api-version is accepted. Topics, their subscriptions and rules are
// not modelled: there are none to be found, and to make one is refused with 501.
//
// The answers are those of Service Bus: status, document and, where clients look for it, text.
func (s *Server) admin() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, document, err := s.manage(r)
		kind := "application/atom+xml; charset=utf-8"
		if err != nil {
			refused := s.refused(r, err)
			status, document, kind = refused.Code, refused.XML(), "application/xml; charset=utf-8"
		}
		switch status {
		case http.StatusUnauthorized:
			w.Header().Set("WWW-Authenticate", "SharedAccessSignature")
		case http.StatusMethodNotAllowed:
			w.Header().Set("Allow", "GET, PUT, DELETE")
		}
		if len(document) > 0 {
			w.Header().Set("Content-Type", kind)
		}
		w.WriteHeader(status)
		_, _ = w.Write(document) // who does not read it is gone
	})
}

// refused is what the client is told of an error. What it cannot help is logged, and told in general terms.
func (s *Server) refused(r *http.Request, err error) atom.Error {
	if refused, ok := errors.AsType[atom.Error](err); ok {
		return refused
	}
	s.log.Error("a management request failed", "method", r.Method, "error", err)
	return atom.Error{Code: http.StatusInternalServerError, Detail: "The request failed. The log of the broker has the reason."}
}

// manage does what a request asks for. An error that is no atom.Error is the broker's own.
func (s *Server) manage(r *http.Request) (status int, document []byte, err error) {
	path := strings.Trim(r.URL.Path, "/")
	key, err := s.authorizeHTTP(r, strings.ToLower(path))
	if err != nil {
		return 0, nil, err
	}
	switch r.Method {
	case http.MethodGet:
		document, err = s.get(r, path, key)
		return http.StatusOK, document, err
	case http.MethodPut:
		if !key.Manage {
			return 0, nil, unauthorized("Authorization failed for specified action: Manage,EntityWrite.")
		}
		return s.putQueue(r, path)
	case http.MethodDelete:
		if !key.Manage {
			return 0, nil, unauthorized("Authorization failed for specified action: Manage,EntityDelete.")
		}
		return http.StatusOK, nil, s.removeQueue(path)
	}
	return 0, nil, atom.Error{Code: http.StatusMethodNotAllowed, Detail: "The method is not supported. Use GET, PUT or DELETE."}
}

// get answers a GET. That there is no such entity is told to everyone who has a token.
func (s *Server) get(r *http.Request, path string, key Key) ([]byte, error) {
	list, known := map[string]func(*http.Request) ([]byte, error){
		queuesResource:    s.listQueues,
		topicsResource:    s.listTopics,
		namespaceResource: s.describeNamespace,
	}[strings.ToLower(path)]
	info, err := s.Queue(path)
	switch {
	case !known && errors.Is(err, ErrQueueNotFound):
		return atom.Feed{URL: href(r, path), Title: atom.NoEntity, Updated: s.options.Now()}.XML(), nil
	case !key.Manage:
		return nil, unauthorized("Manage,EntityRead claims required for this operation.")
	case known:
		return list(r)
	}
	return entry(r, info).XML(), err
}

func (s *Server) listQueues(r *http.Request) ([]byte, error) {
	skip, err := number(r, "$skip", 0)
	if err != nil {
		return nil, err
	}
	top, err := number(r, "$top", defaultPage)
	if err != nil {
		return nil, err
	}
	feed := atom.Feed{URL: href(r, "$Resources/Queues"), Title: "Queues", Updated: s.options.Now()}
	queues := s.Queues()
	queues = queues[min(skip, len(queues)):]
	for _, info := range queues[:min(top, len(queues))] {
		feed.Entries = append(feed.Entries, entry(r, info))
	}
	return feed.XML(), nil
}

func (s *Server) listTopics(r *http.Request) ([]byte, error) {
	return atom.Feed{URL: href(r, "$Resources/Topics"), Title: "Topics", Updated: s.options.Now()}.XML(), nil
}

// number is a parameter of the query that counts something.
func number(r *http.Request, name string, absent int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return absent, nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, badValue("The value of " + name + " is no number from 0 to 2147483647.")
	}
	return int(n), nil
}

// describeNamespace describes the broker. It is as old as its oldest queue, and changed when one of them did.
func (s *Server) describeNamespace(r *http.Request) ([]byte, error) {
	now := s.options.Now()
	host := url.URL{Host: r.Host}
	n := atom.Namespace{URL: href(r, "$namespaceinfo"), Name: host.Hostname(), SKU: "Standard", Created: now, Modified: now}
	for i, info := range s.Queues() {
		if i == 0 || info.CreatedAt.Before(n.Created) {
			n.Created = info.CreatedAt
		}
		if i == 0 || info.UpdatedAt.After(n.Modified) {
			n.Modified = info.UpdatedAt
		}
	}
	return n.XML(), nil
}

// href is where the client finds something. The client of Service Bus knows no http.
func href(r *http.Request, path string) string { return "https://" + r.Host + "/" + path }
