package change_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/change"
	"pgregory.net/rapid"
)

var arrived = time.Date(2026, 5, 1, 9, 0, 0, 123456789, time.UTC)

// valid is a change as notify makes it, after edits.
func valid(edits ...func(*change.Change)) change.Change {
	c := change.Change{
		Route: "fabrikam-us→contoso", User: "87d349ed-44d7-43e1-9a83-5f2406dee5bd",
		Cause: change.CauseNotification, Key: change.Key("a", "b"), ArrivedAt: arrived,
	}
	for _, edit := range edits {
		edit(&c)
	}
	return c
}

func TestEncodeOnTheWire(t *testing.T) {
	body, err := change.Encode(valid(func(c *change.Change) { c.Deleted, c.Attempt, c.Hop, c.Replays, c.Paused = true, 1, 2, 3, true }))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"v":1,"route":"fabrikam-us→contoso","user":"87d349ed-44d7-43e1-9a83-5f2406dee5bd","cause":"notification",` +
		`"key":"` + change.Key("a", "b") + `","deleted":true,"arrivedAt":"2026-05-01T09:00:00.123456789Z","attempt":1,"hop":2,"replays":3,"paused":true}`
	if string(body) != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
}

func TestEncodeLeavesOutWhatIsNotKnown(t *testing.T) {
	body, err := change.Encode(valid())
	if err != nil {
		t.Fatal(err)
	}
	for _, absent := range []string{"deleted", "eventAt", "attempt", "hop", "replays", "paused"} {
		if strings.Contains(string(body), absent) {
			t.Errorf("%s stands in %s", absent, body)
		}
	}
}

func drawChange(t *rapid.T) change.Change {
	text := rapid.StringN(1, 40, -1)
	count := rapid.IntRange(0, 1_000_000)
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		return time.Unix(rapid.Int64Range(0, 4_000_000_000).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC()
	})
	c := change.Change{
		Route: text.Draw(t, "route"), User: text.Draw(t, "user"), Cause: change.Cause(text.Draw(t, "cause")),
		Key: text.Draw(t, "key"), Deleted: rapid.Bool().Draw(t, "deleted"), ArrivedAt: moment.Draw(t, "arrived"),
		Attempt: count.Draw(t, "attempt"), Hop: count.Draw(t, "hop"), Replays: count.Draw(t, "replays"), Paused: rapid.Bool().Draw(t, "paused"),
	}
	if rapid.Bool().Draw(t, "event known") {
		c.EventAt = moment.Draw(t, "event")
	}
	return c
}

func TestDecodeReadsWhatEncodeWrote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawChange(t)
		body, err := change.Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		back, err := change.Decode(body)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(back, c) {
			t.Fatalf("got  %+v\nwant %+v", back, c)
		}
	})
}

func TestDecodeIgnoresWhatANewerProgramAdds(t *testing.T) {
	body := `{"v":1,"route":"r","user":"u","cause":"notification","key":"k","arrivedAt":"2026-05-01T09:00:00Z","colour":{"is":["blue"]}}`
	if _, err := change.Decode([]byte(body)); err != nil {
		t.Error(err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	const good = `{"v":1,"route":"r","user":"u","cause":"notification","key":"k","arrivedAt":"2026-05-01T09:00:00Z"}`
	if _, err := change.Decode([]byte(good)); err != nil {
		t.Fatal(err)
	}
	without := func(field string) string { return strings.Replace(good, field, "", 1) }
	plus := func(field string) string { return strings.Replace(good, "}", ","+field+"}", 1) }
	for name, body := range map[string]string{
		"nothing":                      "",
		"white space":                  " \n",
		"no JSON":                      "look at user u",
		"null":                         "null",
		"a list":                       "[" + good + "]",
		"half a message":               good[:len(good)/2],
		"two messages":                 good + good,
		"a brace after the message":    good + "}",
		"a bracket after the message":  good + "]",
		"no version":                   without(`"v":1,`),
		"a version to come":            strings.Replace(good, `"v":1`, `"v":2`, 1),
		"no route":                     without(`"route":"r",`),
		"an empty route":               strings.Replace(good, `"r"`, `""`, 1),
		"no user":                      without(`"user":"u",`),
		"no cause":                     without(`"cause":"notification",`),
		"no key":                       without(`"key":"k",`),
		"no time of arrival":           without(`,"arrivedAt":"2026-05-01T09:00:00Z"`),
		"a time that is none":          strings.Replace(good, "2026-05-01", "yesterday", 1),
		"a user that is a number":      strings.Replace(good, `"u"`, `1`, 1),
		"a negative attempt":           plus(`"attempt":-1`),
		"a negative hop":               plus(`"hop":-1`),
		"a negative count of replays":  plus(`"replays":-1`),
		"a count that is no integer":   plus(`"attempt":1.5`),
		"a count that does not fit":    plus(`"attempt":1e99`),
		"more bytes than a change has": plus(`"more":"` + strings.Repeat("x", change.MaxSize) + `"`),
	} {
		t.Run(name, func(t *testing.T) {
			if c, err := change.Decode([]byte(body)); err == nil {
				t.Errorf("it is read as %+v", c)
			} else if !strings.HasPrefix(err.Error(), "decode change: ") {
				t.Errorf("the error %q does not say what failed", err)
			}
		})
	}
}

func TestEncodeRefusesWhatDecodeWould(t *testing.T) {
	for name, spoil := range map[string]func(*change.Change){
		"no route":           func(c *change.Change) { c.Route = "" },
		"no user":            func(c *change.Change) { c.User = "" },
		"no cause":           func(c *change.Change) { c.Cause = "" },
		"no key":             func(c *change.Change) { c.Key = "" },
		"no time of arrival": func(c *change.Change) { c.ArrivedAt = time.Time{} },
		"a year after 9999":  func(c *change.Change) { c.ArrivedAt = arrived.AddDate(9000, 0, 0) },
		"a negative attempt": func(c *change.Change) { c.Attempt = -1 },
		"a negative hop":     func(c *change.Change) { c.Hop = -1 },
		"a negative replay":  func(c *change.Change) { c.Replays = -1 },
		"more than MaxSize":  func(c *change.Change) { c.Route = strings.Repeat("x", change.MaxSize) },
	} {
		t.Run(name, func(t *testing.T) {
			if body, err := change.Encode(valid(spoil)); err == nil {
				t.Errorf("it is written as %s", body)
			}
		})
	}
}

func TestMessageID(t *testing.T) {
	base := valid().MessageID()
	t.Run("is the same for duplicates of one event", func(t *testing.T) {
		for name, edit := range map[string]func(*change.Change){
			"heard of later":   func(c *change.Change) { c.ArrivedAt = c.ArrivedAt.Add(time.Second) },
			"time of event":    func(c *change.Change) { c.EventAt = arrived },
			"an attempt later": func(c *change.Change) { c.Attempt = 3 },
			"cause":            func(c *change.Change) { c.Cause = change.CauseCatchUp },
		} {
			if id := valid(edit).MessageID(); id != base {
				t.Errorf("%s: %s, want %s", name, id, base)
			}
		}
	})
	t.Run("differs between events, routes, users and copies of ours", func(t *testing.T) {
		seen := map[string]string{base: "the first"}
		for name, c := range map[string]change.Change{
			"another event":     valid(func(c *change.Change) { c.Key = change.Key("a", "c") }),
			"another route":     valid(func(c *change.Change) { c.Route = "fabrikam-mexico→contoso" }),
			"another user":      valid(func(c *change.Change) { c.User = "another" }),
			"a copy that waits": valid().Later(1),
			"the copy after it": valid().Later(1).Retry(1),
			"the copy that the second delivery makes": valid().Later(2),
			"a copy that waits for its route":         valid().PausedUntil(3, arrived),
			"a replay":                                valid().Replayed(arrived),
			"the replay of it":                        valid().Replayed(arrived).Replayed(arrived),
			"a copy of a replay":                      valid().Replayed(arrived).Retry(1),
		} {
			id := c.MessageID()
			if other, taken := seen[id]; taken {
				t.Errorf("%s and %s have the same id %s", name, other, id)
			}
			seen[id] = name
		}
	})
	t.Run("has at most 128 characters", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			c := drawChange(t)
			c.Hop, c.Replays = rapid.IntMin(0).Draw(t, "hops"), rapid.IntMin(0).Draw(t, "all replays")
			if id := c.MessageID(); len(id) > 128 {
				t.Fatalf("%q has %d", id, len(id))
			}
		})
	})
}

func TestKeyTellsItsPartsApart(t *testing.T) {
	seen := map[string][]string{}
	for _, parts := range [][]string{{}, {""}, {"", ""}, {"ab"}, {"a", "b"}, {"b", "a"}, {"ab", ""}, {"", "ab"}, {"1:a"}, {"a", "1:b"}} {
		k := change.Key(parts...)
		if other, taken := seen[k]; taken {
			t.Errorf("%q and %q have the same key", parts, other)
		}
		seen[k] = parts
	}
	if first, again := change.Key("a", "b"), change.Key("a", "b"); first != again {
		t.Error("the same parts have two keys")
	}
}

func TestCopiesCountFailuresInARow(t *testing.T) {
	c := valid()
	failed := c.Retry(1).Retry(1)
	if failed.Hop != 2 || failed.Attempt != 2 {
		t.Errorf("a copy after two failures: hop %d, attempt %d; want 2, 2", failed.Hop, failed.Attempt)
	}
	waited := failed.Later(1)
	if waited.Hop != 3 || waited.Attempt != 0 {
		t.Errorf("a copy that waits after that: hop %d, attempt %d; want 3, 0", waited.Hop, waited.Attempt)
	}
	if !failed.ArrivedAt.Equal(c.ArrivedAt) || c.Hop != 0 {
		t.Error("a copy changes when the change arrived, or the original")
	}
}

func TestTheTraceIsTheSameForAllThatFollows(t *testing.T) {
	c := change.Change{Route: "a→b", User: "u", Key: change.Key("event")}
	all := []change.Change{c, c.Retry(1), c.Later(2).Retry(1), c.Replayed(time.Now()), c.Planned(1, time.Now()).Later(1)}
	for i, follows := range all {
		if follows.Trace() != c.Key {
			t.Errorf("change %d has the trace %s, want %s", i, follows.Trace(), c.Key)
		}
	}
}

func TestACopyThatWaitedForItsRouteIsAsGoodAsNew(t *testing.T) {
	at := arrived.Add(5 * time.Minute)
	c := valid(func(c *change.Change) { c.Deleted, c.EventAt, c.Attempt, c.Hop = true, arrived, 10, 12 })
	got := c.PausedUntil(1, at)
	want := c
	want.Attempt, want.Hop, want.ArrivedAt, want.Paused, want.Key, want.TraceID = 0, 13, at, true, got.Key, c.Key
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for name, next := range map[string]change.Change{"later": got.Later(1), "retry": got.Retry(1), "planned": got.Planned(1, at), "replay": got.Replayed(at)} {
		if next.Paused {
			t.Errorf("the copy after it (%s) still says that its route is paused", name)
		}
	}
}

func TestReplayedStartsAgain(t *testing.T) {
	later := arrived.Add(24 * time.Hour)
	c := valid(func(c *change.Change) { c.Deleted, c.EventAt, c.Attempt, c.Hop, c.Replays = true, arrived, 10, 12, 1 })
	want := c
	want.Cause, want.Attempt, want.Hop, want.Replays, want.ArrivedAt = change.CauseReplay, 0, 0, 2, later
	if got := c.Replayed(later); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func FuzzDecode(f *testing.F) {
	for _, c := range []change.Change{valid(), valid().Retry(1), valid().Replayed(arrived), valid(func(c *change.Change) { c.EventAt = arrived })} {
		body, err := change.Encode(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Add([]byte(`{"v":1}`))
	f.Add([]byte(`{"V":1,"ROUTE":"r","user":"\ud800","cause":"x","key":"k","arrivedAt":"0000-01-01T00:00:00+23:59"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := change.Decode(body)
		if err != nil {
			return
		}
		again, err := change.Encode(c)
		if err != nil {
			// Escapes may make it longer than what came in.
			if strings.Contains(err.Error(), "more than") {
				return
			}
			t.Fatalf("%q is read, but cannot be written: %v", body, err)
		}
		back, err := change.Decode(again)
		if err != nil {
			t.Fatalf("%q is written as %q, which cannot be read: %v", body, again, err)
		}
		if !back.ArrivedAt.Equal(c.ArrivedAt) || !back.EventAt.Equal(c.EventAt) {
			t.Fatalf("times move: %v %v, then %v %v", c.ArrivedAt, c.EventAt, back.ArrivedAt, back.EventAt)
		}
		back.ArrivedAt, back.EventAt = c.ArrivedAt, c.EventAt
		if back != c {
			t.Fatalf("%q is read as %+v, then as %+v", body, c, back)
		}
		if len(c.MessageID()) > 128 {
			t.Fatalf("message id %q", c.MessageID())
		}
	})
}
