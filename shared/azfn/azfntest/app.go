package azfntest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// app is a function app as the host reads it from its folder: host.json, and <name>/function.json exactly one level
// deep.
type app struct {
	dir       string
	settings  settings
	host      hostFile
	functions []function
}

// hostFile is the part of host.json that counts here. Its keys know no case.
type hostFile struct {
	Version         string
	FunctionTimeout timeSpan
	CustomHandler   struct {
		Description struct {
			DefaultExecutablePath string
			Arguments             []string
		}
		EnableForwardingHTTPRequest bool
		EnableProxyingHTTPRequest   bool
		InitializationTimeout       timeSpan
	}
	Extensions struct {
		HTTP struct {
			RoutePrefix *string
		}
		ServiceBus struct {
			AutoCompleteMessages       *bool
			MaxConcurrentCalls         int
			MaxAutoLockRenewalDuration timeSpan
		}
	}
}

// function is one function.json.
type function struct {
	name     string
	Bindings []binding
	trigger  binding
}

type binding struct {
	Name, Type, Direction string
	// httpTrigger
	Route     *string
	Methods   []string
	AuthLevel string
	// timerTrigger
	Schedule string
	// serviceBusTrigger
	QueueName, Connection, DataType, Cardinality string
	IsSessionsEnabled                            bool
}

// Names the host accepts (ScriptHost, Utility.ValidateBinding).
var (
	functionName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_-]{0,127}$`)
	bindingName  = regexp.MustCompile(`^([a-zA-Z][a-zA-Z0-9]{0,127}|\$return)$`)
)

// load reads the folder. It names every mistake, in the host's words where it has any. The real host would run the
// functions that are right and only log the others; a test wants to know.
func load(dir string, s settings) (*app, error) {
	a := &app{dir: dir, settings: s}
	text, err := os.ReadFile(filepath.Join(dir, "host.json"))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &a.host); err != nil {
		return nil, fmt.Errorf("host.json: %w", err)
	}
	if a.host.Version != "2.0" {
		return nil, fmt.Errorf(`host.json: version is %q, it must be "2.0"`, a.host.Version)
	}
	if a.host.CustomHandler.Description.DefaultExecutablePath == "" {
		return nil, errors.New("host.json: customHandler.description.defaultExecutablePath is missing")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(dir, entry.Name(), "function.json"))
		if !entry.IsDir() || errors.Is(err, fs.ErrNotExist) {
			continue // a folder without function.json is no function
		}
		if err != nil {
			return nil, err
		}
		f, err := a.parse(entry.Name(), text)
		if err != nil {
			errs = append(errs, fmt.Errorf("the '%s' function is in error: %w", entry.Name(), err))
			continue
		}
		if !strings.EqualFold(s["AzureWebJobs."+f.name+".Disabled"], "true") {
			a.functions = append(a.functions, f)
		}
	}
	if len(errs) == 0 && len(a.functions) == 0 {
		errs = append(errs, errors.New("no job functions found: no <name>/function.json beside host.json"))
	}
	return a, errors.Join(errs...)
}

func (a *app) parse(name string, text []byte) (function, error) {
	f := function{name: name}
	if !functionName.MatchString(name) || strings.EqualFold(name, "host") {
		return f, fmt.Errorf("'%s' is not a valid function name", name)
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return f, fmt.Errorf("unable to parse function.json: %w", err)
	}
	if len(f.Bindings) == 0 {
		return f, errors.New("at least one binding must be declared")
	}
	triggers := 0
	for _, b := range f.Bindings {
		if err := b.check(); err != nil {
			return f, err
		}
		if b.isTrigger() {
			f.trigger = b
			triggers++
		}
	}
	switch {
	case triggers == 0:
		return f, errors.New("no trigger binding specified. A function must have a trigger input binding")
	case triggers > 1:
		return f, errors.New("multiple trigger bindings defined. A function can only have a single trigger binding")
	}
	return f, a.resolve(&f.trigger)
}

func (b binding) isTrigger() bool {
	return strings.HasSuffix(strings.ToLower(b.Type), "trigger")
}

// check is stricter than the host in one thing: the host takes a missing direction for "in".
func (b binding) check() error {
	known := []string{"httpTrigger", "http", "timerTrigger", "serviceBusTrigger"}
	want := "in"
	if b.Type == "http" {
		want = "out"
	}
	switch {
	case !bindingName.MatchString(b.Name):
		return fmt.Errorf("the binding name %s is invalid. Please assign a valid name to the binding", b.Name)
	case !slices.Contains(known, b.Type):
		return fmt.Errorf("the binding type(s) '%s' are not registered. Please ensure the type is correct and the binding extension is installed", b.Type)
	case !strings.EqualFold(b.Direction, "in") && !strings.EqualFold(b.Direction, "out"):
		return fmt.Errorf("'%s' is not a valid binding direction", b.Direction)
	case !strings.EqualFold(b.Direction, want):
		return fmt.Errorf("binding %s of type %s has direction %s, it must be %s", b.Name, b.Type, b.Direction, want)
	case b.IsSessionsEnabled || strings.EqualFold(b.Cardinality, "many"):
		return fmt.Errorf("binding %s: sessions and cardinality many are not modelled", b.Name)
	}
	return nil
}

// resolve puts settings into the values of a trigger and looks whether they make sense.
func (a *app) resolve(b *binding) error {
	for _, value := range []*string{&b.QueueName, &b.Schedule} {
		resolved, err := a.settings.resolve(*value)
		if err != nil {
			return err
		}
		*value = resolved
	}
	switch b.Type {
	case "timerTrigger":
		if n := len(strings.Fields(b.Schedule)); n != 5 && n != 6 {
			return fmt.Errorf("the schedule expression '%s' was not recognized as a valid cron expression or timespan string", b.Schedule)
		}
	case "serviceBusTrigger":
		if b.QueueName == "" {
			return errors.New("serviceBusTrigger names no queue")
		}
		if a.settings.connection(b.Connection) == "" {
			return fmt.Errorf("the Service Bus connection string '%s' does not exist. Make sure that it is a defined App Setting", b.Connection)
		}
	}
	return nil
}

// isProxied says whether HTTP reaches the function as it is: the host must be told so, and the function must have an
// HTTP trigger and an HTTP output and nothing else.
func (a *app) isProxied(f function) bool {
	h := a.host.CustomHandler
	return (h.EnableProxyingHTTPRequest || h.EnableForwardingHTTPRequest) && f.trigger.Type == "httpTrigger" && len(f.Bindings) == 2 && f.output() != ""
}

// output is the name of the function's http output binding.
func (f function) output() string {
	for _, b := range f.Bindings {
		if b.Type == "http" {
			return b.Name
		}
	}
	return ""
}

// executable is the path of the handler's binary: in the folder, else somewhere in PATH.
func (a *app) executable() (string, error) {
	path, err := a.settings.resolve(a.host.CustomHandler.Description.DefaultExecutablePath)
	if err != nil {
		return "", err
	}
	inside := path
	if !filepath.IsAbs(path) {
		inside = filepath.Join(a.dir, path)
	}
	if _, err := os.Stat(inside); err == nil {
		return inside, nil
	}
	return path, nil
}

// settings are the app settings, which the handler gets as its environment.
type settings map[string]string

func newSettings(env []string) settings {
	s := settings{}
	for _, line := range env {
		name, value, _ := strings.Cut(line, "=")
		s[name] = value
	}
	return s
}

var percent = regexp.MustCompile(`%[^%]+%`)

// resolve replaces each %NAME%.
func (s settings) resolve(text string) (string, error) {
	var err error
	text = percent.ReplaceAllStringFunc(text, func(name string) string {
		value, ok := s[strings.Trim(name, "%")]
		if !ok {
			err = fmt.Errorf("'%s' does not resolve to a value", name)
		}
		return value
	})
	return text, err
}

// connection is the connection string behind a binding's connection; empty means the platform's default name.
func (s settings) connection(name string) string {
	if name == "" {
		name = "ServiceBus"
	}
	if value := s["AzureWebJobs"+name]; value != "" {
		return value
	}
	return s[name]
}

// timeSpan is .NET's "hh:mm:ss".
type timeSpan time.Duration

func (t *timeSpan) UnmarshalText(text []byte) error {
	var h, m, s time.Duration
	if _, err := fmt.Sscanf(string(text), "%d:%d:%d", &h, &m, &s); err != nil {
		return fmt.Errorf("time span %q: %w", text, err)
	}
	*t = timeSpan(h*time.Hour + m*time.Minute + s*time.Second)
	return nil
}

// or is the time span, or what counts where none is given.
func (t timeSpan) or(other time.Duration) time.Duration {
	if t == 0 {
		return other
	}
	return time.Duration(t)
}
