package atom

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

const day = 24 * time.Hour

func TestADurationIsReadAndWritten(t *testing.T) {
	for _, c := range []struct {
		text string
		want time.Duration
		back string // as it is written, if not the same
	}{
		{text: "PT30S", want: 30 * time.Second},
		{text: "PT1M", want: time.Minute},
		{text: "PT10M1S", want: 10*time.Minute + time.Second},
		{text: "PT6H", want: 6 * time.Hour},
		{text: "P14D", want: 14 * day},
		{text: "P1DT2H3M4.5S", want: day + 2*time.Hour + 3*time.Minute + 4500*time.Millisecond},
		{text: "PT0.05S", want: 50 * time.Millisecond},
		{text: "PT0.0000001S", want: 100 * time.Nanosecond},
		{text: "PT0S", want: 0},
		{text: "PT60M0S", want: time.Hour, back: "PT1H"}, // the Go client writes no hours
		{text: "PT1.50S", want: 1500 * time.Millisecond, back: "PT1.5S"},
		{text: "P0DT0H0M7S", want: 7 * time.Second, back: "PT7S"},
		{text: "P106751D", want: 106751 * day},
		{text: "P106752D", want: Never, back: never}, // more than 2⁶³ ns
		{text: "P10675199DT2H48M5.4775807S", want: Never},
		{text: "PT256204778H48M5.4775807S", want: Never, back: never}, // as Java writes it
	} {
		t.Run(c.text, func(t *testing.T) {
			got, err := ParseDuration(c.text)
			if err != nil || got != c.want {
				t.Fatalf("read as %v (%v), want %v", got, err, c.want)
			}
			want := c.back
			if want == "" {
				want = c.text
			}
			if back := FormatDuration(got); back != want {
				t.Errorf("written as %q, want %q", back, want)
			}
		})
	}
}

func TestTextThatIsNoDurationIsRefusedWithTheReason(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "no ISO 8601 duration"},
		{"words", "1 minute", "no ISO 8601 duration"},
		{"a Go duration", "1m30s", "no ISO 8601 duration"},
		{"a TimeSpan", "00:01:00", "no ISO 8601 duration"},
		{"no P", "T1M", "no ISO 8601 duration"},
		{"P alone", "P", "no ISO 8601 duration"},
		{"nothing behind T", "P1DT", "no ISO 8601 duration"},
		{"a number without a unit", "PT5", "no ISO 8601 duration"},
		{"a unit without a number", "PTM", "no ISO 8601 duration"},
		{"small letters", "pt1m", "no ISO 8601 duration"},
		{"the wrong order", "PT1S1M", "no ISO 8601 duration"},
		{"a unit twice", "PT1M1M", "no ISO 8601 duration"},
		{"hours without T", "P1H", "no ISO 8601 duration"},
		{"days behind T", "PT1D", "no ISO 8601 duration"},
		{"T twice", "PT1HT1M", "no ISO 8601 duration"},
		{"negative", "-PT1M", "no ISO 8601 duration"},
		{"decimals of an hour", "PT1.5H", "no ISO 8601 duration"},
		{"a point and no decimals", "PT1.S", "no ISO 8601 duration"},
		{"decimals and no number", "PT.5S", "no ISO 8601 duration"},
		{"two points", "PT1.2.3S", "no ISO 8601 duration"},
		{"years", "P1Y", "write days"},
		{"months", "P1M", "write days"},
		{"weeks", "P2W", "write days"},
		{"too many decimals", "PT0.12345678S", "at most 7 decimals"},
		{"more than the longest", "P10675199DT2H48M5.4775808S", "longer than the longest"},
		{"far more than the longest", "P99999999999999999999999D", "longer than the longest"},
		{"a product beyond 64 bits", "P18446744073709551615D", "longer than the longest"},
		{"a sum beyond 64 bits", "P10675199DT256204778H15372286728M922337203685S", "longer than the longest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseDuration(c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestEveryDurationSurvivesTheRoundTrip(t *testing.T) {
	for range 10_000 {
		d := time.Duration(rand.Int64N(int64(Never)>>rand.IntN(62))) / tick * tick
		if back, err := ParseDuration(FormatDuration(d)); err != nil || back != d {
			t.Fatalf("%v is written as %s, and read as %v (%v)", d, FormatDuration(d), back, err)
		}
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, seed := range []string{"PT1M30.5S", "P14D", never, "PT256204778H48M5.4775807S", "P1Y", "PT1S1M", "PT0.00000001S"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDuration(text)
		if err != nil {
			return
		}
		if back, err := ParseDuration(FormatDuration(d)); d < 0 || err != nil || back != d {
			t.Errorf("%q is read as %v, written as %s, and read as %v (%v)", text, d, FormatDuration(d), back, err)
		}
	})
}
