package jsonhttp_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tenantsync/tenantsync/functions/internal/jsonhttp"
)

func TestReadTakesOneObjectOfKnownFields(t *testing.T) {
	const most = 64
	for _, tt := range []struct{ body, wrong string }{
		{`{"name":"a"}`, ""},
		{"{}", ""},
		{` {"name":"a"} ` + "\n", ""},
		{"", "EOF"},
		{"{", "unexpected EOF"},
		{`["a"]`, "cannot unmarshal array"},
		{`{"name":1}`, "cannot unmarshal number"},
		{`{"nmae":"a"}`, `unknown field "nmae"`},
		{`{"name":"a"}{}`, "something follows"},
		{`{"name":"a"}x`, "something follows"},
		{`{"name":"` + strings.Repeat("a", most) + `"}`, "too large"},
	} {
		var got struct{ Name string }
		err := jsonhttp.Read(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader(tt.body)), most, &got)
		if (err == nil) != (tt.wrong == "") || err != nil && !strings.Contains(err.Error(), tt.wrong) {
			t.Errorf("%s: error %v, want %q", tt.body, err, tt.wrong)
		}
	}
}

func TestARefusedMethodIsToldWhichAreAllowed(t *testing.T) {
	rec := httptest.NewRecorder()
	jsonhttp.RefuseMethod(rec, http.MethodGet, http.MethodPost)
	if rec.Code != http.StatusMethodNotAllowed || rec.Header().Get("Allow") != "GET, POST" || rec.Header().Get("Content-Type") != "application/json" ||
		strings.TrimSpace(rec.Body.String()) != `{"error":"use GET or POST"}` {
		t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	}
}
