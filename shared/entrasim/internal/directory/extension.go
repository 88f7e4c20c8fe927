package directory

import (
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// Extension is a directory extension property of the application, as Graph shows it.
type Extension struct {
	ID            string
	Name          string // extension_{application id without hyphens}_{name}
	DataType      string
	TargetObjects []string
}

// Extensions holds the extension properties of one application. They are defined in its home tenant and usable in every
// tenant where it is consented, so the directories share it. Safe for concurrent use.
type Extensions struct {
	prefix string

	mu     sync.RWMutex
	byName map[string]*Property // folded names
	list   []Extension
}

// NewExtensions returns the empty set for the application with the given (client) id.
func NewExtensions(appID string) *Extensions {
	return &Extensions{
		prefix: "extension_" + strings.ReplaceAll(appID, "-", "") + "_",
		byName: map[string]*Property{},
	}
}

var (
	extensionName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,63}$`)
	extensionKind = map[string]Property{
		"String":       {Kind: Text, Max: 256},
		"Boolean":      {Kind: Flag},
		"Integer":      {Kind: Integer, Max: math.MaxInt32},
		"LargeInteger": {Kind: Integer},
		"DateTime":     {Kind: Moment},
		"Binary":       {Kind: Binary, Max: 256},
	}
)

// Define adds a property by its short name. dataType is String, Boolean, Integer, LargeInteger, DateTime or Binary;
// targets must hold User, the only object kind the simulator keeps.
func (x *Extensions) Define(name, dataType string, targets []string) (Extension, error) {
	p, known := extensionKind[dataType]
	switch {
	case !extensionName.MatchString(name):
		return Extension{}, fault.BadRequest("Invalid value specified for property 'name' of resource 'ExtensionProperty'.")
	case !known:
		return Extension{}, fault.BadRequest("Invalid value specified for property 'dataType' of resource 'ExtensionProperty'.")
	case len(targets) == 0:
		return Extension{}, fault.BadRequest("A value is required for property 'targetObjects' of resource 'ExtensionProperty'.")
	case !slices.Contains(targets, "User"):
		return Extension{}, fault.NotModelled("extension properties of %s", strings.Join(targets, ", "))
	}
	p.Name, p.Extension, p.of = x.prefix+name, true, Users.title()

	x.mu.Lock()
	defer x.mu.Unlock()
	if x.byName[strings.ToLower(p.Name)] != nil {
		return Extension{}, fault.New(http.StatusConflict, "Request_MultipleObjectsWithSameKeyValue",
			"An extension property exists with the name %s.", p.Name)
	}
	x.byName[strings.ToLower(p.Name)] = &p
	e := Extension{
		ID:            uuid.NewSHA1(uuid.NameSpaceURL, []byte(p.Name)).String(),
		Name:          p.Name,
		DataType:      dataType,
		TargetObjects: slices.Clone(targets),
	}
	x.list = append(x.list, e)
	return e, nil
}

// List returns the properties in the order they were defined.
func (x *Extensions) List() []Extension {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.Clone(x.list)
}

func (x *Extensions) lookup(name string) *Property {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.byName[strings.ToLower(name)]
}

// isExtension reports whether name has the form of a directory extension, defined or not.
func isExtension(name string) bool {
	return len(name) > 10 && strings.EqualFold(name[:10], "extension_")
}
