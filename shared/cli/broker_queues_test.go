package cli

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tenantsync/tenantsync/shared/broker"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

func TestAQueuesFileNamesQueuesAndKeys(t *testing.T) {
	queues, keys, err := readQueues("testdata/queues/good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := []broker.QueueConfig{
		{
			Name: "orders", LockDuration: 30 * time.Second, MaxDeliveryCount: 5, DuplicateDetectionWindow: 10 * time.Minute,
			DefaultTTL: 14 * 24 * time.Hour, DeadLetterOnExpiration: true, MaxSizeMB: 2048, MaxMessageSizeKB: 1024,
			AutoDeleteOnIdle: 26*time.Hour + 30*time.Minute, Status: broker.StatusSendDisabled, UserMetadata: "for the tests",
			EnablePartitioning: true, Keys: map[string]broker.Key{"reader": {Secret: "only for orders", Listen: true}},
		},
		{Name: "Everything/by.default", Keys: map[string]broker.Key{}},
		{Name: "endless", Keys: map[string]broker.Key{}},
	}
	if !reflect.DeepEqual(queues, want) {
		t.Errorf("the queues are\n%+v, want\n%+v", queues, want)
	}
	if want := map[string]broker.Key{"worker": {Secret: "good for every queue", Send: true, Listen: true}}; !reflect.DeepEqual(keys, want) {
		t.Errorf("the keys are %v, want %v", keys, want)
	}
}

func TestABadQueuesFileGetsAllItsMistakesToldWithTheirLines(t *testing.T) {
	files, err := filepath.Glob("testdata/queues/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad files (%v)", err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			code, stdout, stderr := run(t, nil, "broker", "--queues", path)
			if code != exitInvalid || stdout != "" {
				t.Errorf("exit %d, prints %q; want 2 and nothing", code, stdout)
			}
			golden := strings.TrimSuffix(path, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(stderr), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if stderr != string(want) {
				t.Errorf("it says\n%s\nwant\n%s", stderr, want)
			}
		})
	}
}

func TestADurationIsWrittenAsGoDoesOrInISO8601(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1m": time.Minute, "1m30s": 90 * time.Second, "250ms": 250 * time.Millisecond,
		"PT1M": time.Minute, "PT1M30S": 90 * time.Second, "PT0.25S": 250 * time.Millisecond, "P14D": 14 * 24 * time.Hour, "P1DT1H": 25 * time.Hour,
		"": 0, "1": 0, "0s": 0, "-1m": 0, "P": 0, "PT": 0, "PT0S": 0, "P1M": 0, "P1Y": 0, "P1W": 0, "PT1.5M": 0, "1M": 0, "PT1m": 0, "P-1D": 0,
		"P9999DT9999999H": 0, "P10675199DT2H48M5.4775807S": 0,
	} {
		got, ok := parseDuration(text)
		if ok != (want > 0) || ok && got != want {
			t.Errorf("%q is %s, %v; want %s", text, got, ok, want)
		}
	}
}
