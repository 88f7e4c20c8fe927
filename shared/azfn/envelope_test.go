package azfn

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/tenantsync/tenantsync/shared/change"
)

var lockToken = uuid.MustParse("4e7708b2-0f2c-4f0c-9f4c-6f8a5c6e7d10")

// sample reads a captured envelope.
func sample(t testing.TB, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func decoded(t *testing.T, body []byte) envelope {
	t.Helper()
	e, err := decode(body)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestDeliveryReadsWhatTheHostSends(t *testing.T) {
	for file, want := range map[string]change.Delivery{
		"servicebus-binary.json": {Queue: "changes", MessageID: "m-1", LockToken: lockToken, DeliveryCount: 1, Body: []byte(`{"a":1}`)},
		"servicebus-string.json": {Queue: "changes", MessageID: "m-2", LockToken: lockToken, DeliveryCount: 3, Body: []byte(`{"lockToken":"evil","deliverycount":7}`)},
	} {
		t.Run(file, func(t *testing.T) {
			got, err := decoded(t, sample(t, file)).delivery("changes")
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestDeliveryRefusesWhatCannotBeSettled(t *testing.T) {
	const meta = `"Metadata":{"DeliveryCount":"1","LockToken":"\"4e7708b2-0f2c-4f0c-9f4c-6f8a5c6e7d10\""}`
	for name, test := range map[string]struct{ body, want string }{
		"no lock token":         {`{"Data":{"msg":""},"Metadata":{"DeliveryCount":"1"}}`, "LockToken"},
		"an overwritten token":  {`{"Data":{"msg":""},"Metadata":{"DeliveryCount":"1","LockToken":"\"x\""}}`, "dataType"},
		"an object as token":    {`{"Data":{"msg":""},"Metadata":{"DeliveryCount":"1","LockToken":{}}}`, "LockToken"},
		"no delivery count":     {`{"Data":{"msg":""},"Metadata":{"LockToken":"4e7708b2-0f2c-4f0c-9f4c-6f8a5c6e7d10"}}`, "DeliveryCount"},
		"a batch":               {`{"Data":{"msg":"[]"},"Metadata":{"LockTokenArray":"[]"}}`, "cardinality"},
		"no input":              {`{"Data":{},` + meta + `}`, "function.json"},
		"inputs of other names": {`{"Data":{"a":"","b":""},` + meta + `}`, "function.json"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decoded(t, []byte(test.body)).delivery("changes")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one about %s", err, test.want)
			}
		})
	}
}

func TestTextUnderstandsEveryEncoding(t *testing.T) {
	for value, want := range map[string]string{
		`"\"abc\""`: "abc", `"abc"`: "abc", `"\"a\\\"b\""`: `a"b`, `"1"`: "1", `12`: "12", `true`: "true", `"\"half"`: `"half`,
		`null`: "", ``: "", `{}`: "", `["x"]`: "", `"\"\""`: "",
	} {
		if got := text(json.RawMessage(value)); got != want {
			t.Errorf("text(%s) = %q, want %q", value, got, want)
		}
	}
}

func TestMessageBodyUnderstandsEveryDataType(t *testing.T) {
	for value, want := range map[string]string{
		`"eyJhIjoxfQ=="`:      `{"a":1}`,      // binary
		`""`:                  ``,             // binary, empty
		`"\"{\\\"a\\\":1}\""`: `{"a":1}`,      // string
		`"\"eyJhIjoxfQ==\""`:  `eyJhIjoxfQ==`, // string whose text is base64
		`"{\"a\":1}"`:         `{"a":1}`,      // string, encoded once
		`{"a":1}`:             `{"a":1}`,      // object
		`"no base64!"`:        `no base64!`,
		`"null"`:              ``, // no value
	} {
		if got := string(messageBody(json.RawMessage(value))); got != want {
			t.Errorf("messageBody(%s) = %q, want %q", value, got, want)
		}
	}
}

func TestRequestIsRebuilt(t *testing.T) {
	r, err := decoded(t, sample(t, "http.json")).request(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if r.Method != http.MethodPost || r.URL.Path != "/api/notifications" || r.URL.RawQuery != "validationToken=a%20b&x=1" ||
		r.RequestURI != "/api/notifications?validationToken=a%20b&x=1" || r.Host != "example.azurewebsites.net" {
		t.Errorf("%s %s (%s) to %s", r.Method, r.URL, r.RequestURI, r.Host)
	}
	want := http.Header{"Content-Type": {"application/json"}, "X-Two": {"1", "2"}, "X-One": {"alone"}}
	if !reflect.DeepEqual(r.Header, want) {
		t.Errorf("header %v, want %v", r.Header, want)
	}
	if string(body) != `{"a":1}` || r.ContentLength != 7 {
		t.Errorf("body %q of length %d", body, r.ContentLength)
	}
}

func TestRequestBodyIsBase64OnlyWhenItIsNoText(t *testing.T) {
	for _, test := range []struct{ kind, value, want string }{
		{"application/octet-stream", `"AAEC"`, "\x00\x01\x02"},
		{"multipart/form-data; boundary=x", `"AAEC"`, "\x00\x01\x02"},
		{"text/plain", `"AAEC"`, "AAEC"},
		{"", `"AAEC"`, "AAEC"},
		{"application/json", `"{}"`, "{}"},
		{"application/json", `{"a":1}`, `{"a":1}`},
		{"application/json", `null`, ""},
		{"application/json", ``, ""},
	} {
		got := string(requestBody(json.RawMessage(test.value), http.Header{"Content-Type": {test.kind}}))
		if got != test.want {
			t.Errorf("%s %s: got %q, want %q", test.kind, test.value, got, test.want)
		}
	}
}

// FuzzDecode: whatever comes, decoding ends in a value or an error, and a delivery has what settling needs.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no samples", err)
	}
	for _, file := range files {
		f.Add(sample(f, filepath.Base(file)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := decode(body)
		if err != nil {
			return
		}
		if d, err := e.delivery("q"); err == nil && uuid.UUID(d.LockToken).String() != strings.ToLower(uuid.MustParse(text(e.Metadata["LockToken"])).String()) {
			t.Errorf("lock token %x", d.LockToken)
		}
		if r, err := e.request(t.Context()); err == nil {
			if r.Method == "" || r.URL == nil || r.Header == nil || r.Body == nil {
				t.Errorf("half a request: %+v", r)
			}
		}
	})
}
