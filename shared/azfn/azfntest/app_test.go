package azfntest

import (
	"strings"
	"testing"
)

func TestLoadNamesEveryMistake(t *testing.T) {
	const good = `{"version":"2.0","customHandler":{"description":{"defaultExecutablePath":"h"}}}`
	one := func(binding string) map[string]string {
		return map[string]string{"host.json": good, "f/function.json": `{"bindings":[` + binding + `]}`}
	}
	const timer = `{"type":"timerTrigger","name":"timer","direction":"in","schedule":"0 * * * * *"}`
	for want, files := range map[string]map[string]string{
		"host.json: no such file":    {"f/function.json": timerJSON},
		`version is ""`:              {"host.json": `{}`},
		"defaultExecutablePath":      {"host.json": `{"version":"2.0"}`},
		"no job functions found":     {"host.json": good, "a/f/function.json": timerJSON},
		"is not a valid function":    {"host.json": good, "1f/function.json": timerJSON},
		"unable to parse":            {"host.json": good, "f/function.json": `{`},
		"at least one binding":       one(``),
		"'queueTrigger' are not":     one(`{"type":"queueTrigger","name":"msg","direction":"in"}`),
		"'' is not a valid binding":  one(`{"type":"timerTrigger","name":"timer"}`),
		"it must be out":             one(timer + `,{"type":"http","name":"res","direction":"in"}`),
		"binding name t_t":           one(strings.Replace(timer, `"timer"`, `"t_t"`, 1)),
		"multiple trigger":           one(timer + `,` + timer),
		"no trigger binding":         one(`{"type":"http","name":"res","direction":"out"}`),
		"'%EVERY%' does not resolve": one(strings.Replace(timer, "0 * * * * *", "%EVERY%", 1)),
		"the schedule expression":    one(strings.Replace(timer, "0 * * * * *", "often", 1)),
		"names no queue":             one(`{"type":"serviceBusTrigger","name":"msg","direction":"in","connection":"Bus"}`),
		"'Bus' does not exist":       one(`{"type":"serviceBusTrigger","name":"msg","direction":"in","queueName":"q","connection":"Bus"}`),
		"are not modelled":           one(`{"type":"serviceBusTrigger","name":"msg","direction":"in","queueName":"q","connection":"Bus","cardinality":"many"}`),
	} {
		t.Run(want, func(t *testing.T) {
			_, err := load(stage(t, files), settings{})
			if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), "open ", ""), strings.TrimPrefix(want, "host.json: ")) {
				t.Errorf("got error %v", err)
			}
		})
	}
}

func TestADisabledFunctionIsNotThere(t *testing.T) {
	dir := stage(t, map[string]string{"host.json": hostJSON(t, ""), "a/function.json": timerJSON, "b/function.json": timerJSON})
	a, err := load(dir, newSettings([]string{"AzureWebJobs.a.Disabled=true"}))
	if err != nil {
		t.Fatal(err)
	}
	if len(a.functions) != 1 || a.functions[0].name != "b" {
		t.Errorf("%+v", a.functions)
	}
}
