package graph

import (
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// strict refuses what would change the meaning of a request and is not played: nobody shall take a silent 200 for an answer.
func (c *call) strict(r *route) error {
	if c.Method != http.MethodGet && c.URL.RawQuery != "" && r.path != "/directoryObjects/getByIds" {
		return fault.NotModelled("query options of %s %s", c.Method, c.URL.Path)
	}
	for _, name := range []string{"If-Match", "If-None-Match"} { // directory objects have no ETag
		if c.Header.Get(name) != "" {
			return fault.NotModelled("the header %s", name)
		}
	}
	for name, known := range map[string][]string{
		"ConsistencyLevel":       {"", "eventual"},
		"x-ms-throttle-priority": {"", "low", "normal", "high"},
		"OData-Version":          {"", "4.0", "4.01"},
		"OData-MaxVersion":       {"", "4.0", "4.01"},
	} {
		if value := c.Header.Get(name); !slices.Contains(known, strings.ToLower(value)) {
			return fault.NotModelled("%s in the header %s", value, name)
		}
	}
	if err := c.strictPreferences(r); err != nil {
		return err
	}
	return c.strictAccept()
}

// strictPreferences refuses a Prefer that is not played. Change tracking takes return=minimal and odata.maxpagesize; a PATCH of a
// user answers 204 even with return=representation.
func (c *call) strictPreferences(r *route) error {
	tracking := strings.Contains(r.path, "/delta")
	for _, value := range c.Header.Values("Prefer") {
		for one := range strings.SplitSeq(value, ",") {
			name, argument, _ := strings.Cut(strings.ToLower(strings.TrimSpace(one)), "=")
			_, err := strconv.Atoi(argument)
			switch {
			case name == "return" && (argument == "minimal" && tracking || argument == "representation" && !tracking):
			case name == "odata.maxpagesize" && err == nil && tracking:
			default:
				return fault.NotModelled("Prefer: %s of %s %s", strings.TrimSpace(one), c.Method, c.URL.Path)
			}
		}
	}
	return nil
}

// accepted are the media types of answers.
var accepted = []string{"", "*/*", "application/*", "application/json", "text/plain"}

func (c *call) strictAccept() error {
	accept := c.Header.Get("Accept")
	for one := range strings.SplitSeq(accept, ",") {
		if mediaType, _, _ := mime.ParseMediaType(one); slices.Contains(accepted, mediaType) {
			return nil
		}
	}
	return fault.NotModelled("answers of the media type %s", accept)
}
