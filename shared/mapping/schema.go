package mapping

import (
	"fmt"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Values are a user's attributes by Graph property name, as Kind says; a missing key and nil both mean "no value". Two keys hold more:
// ExtensionAttributes a map[string]any, and manager the Values of the manager.
type Values map[string]any

const (
	userType    = "tenantsync.User"
	managerType = "tenantsync.Manager"
	fifteenType = "tenantsync.ExtensionAttributes"

	managerField = "manager"
)

// provider tells CEL what a user looks like, so that a misspelt attribute and a comparison of a text with a number are found when
// the configuration is read. A missing text reads as "", a missing flag as false and a missing list as empty, as in the
// directory itself; has(user.department) tells whether there is a value.
type provider struct{ types.Provider }

func (p provider) FindStructType(name string) (*types.Type, bool) {
	switch name {
	case userType, managerType, fifteenType:
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return p.Provider.FindStructType(name)
}

func (p provider) FindStructFieldNames(name string) ([]string, bool) {
	switch name {
	case userType:
		return append(Names(), ExtensionAttributes, managerField), true
	case managerType:
		return Names(), true
	}
	return p.Provider.FindStructFieldNames(name)
}

func (p provider) FindStructFieldType(of, field string) (*types.FieldType, bool) {
	switch of {
	case userType, managerType:
	case fifteenType:
		if !fifteenName.MatchString(field) {
			return nil, false
		}
		return fieldOf(field, types.StringType, ""), true
	default:
		return p.Provider.FindStructFieldType(of, field)
	}
	switch {
	case field == ExtensionAttributes:
		return fieldOf(field, types.NewObjectType(fifteenType), map[string]any{}), true
	case field == managerField:
		if of == managerType {
			return nil, false // Graph expands one level
		}
		return fieldOf(field, types.NewObjectType(managerType), Values{}), true
	case fifteenName.MatchString(field):
		return fifteenField(field), true
	}
	a, known := AttributeOf(field)
	if !known {
		return nil, false
	}
	switch a.Kind {
	case Flag:
		return fieldOf(field, types.BoolType, false), true
	case Texts:
		return fieldOf(field, types.NewListType(types.StringType), []string{}), true
	case Moment:
		return fieldOf(field, types.TimestampType, nil), true
	case Any:
		return fieldOf(field, types.DynType, ""), true
	}
	return fieldOf(field, types.StringType, ""), true
}

// fieldOf is a field that reads as missing while it has no value. nil for missing makes reading it an error.
func fieldOf(name string, t *types.Type, missing any) *types.FieldType {
	return &types.FieldType{
		Type: t,
		IsSet: func(object any) bool {
			return !Empty(lookup(object, name))
		},
		GetFrom: func(object any) (any, error) {
			v := lookup(object, name)
			switch {
			case !Empty(v):
				return v, nil
			case missing == nil:
				return nil, fmt.Errorf("%s has no value; ask first whether it has one: has(user.%s) && …", name, name)
			}
			return missing, nil
		},
	}
}

// fifteenField lets user.extensionAttribute1 stand for user.onPremisesExtensionAttributes.extensionAttribute1.
func fifteenField(name string) *types.FieldType {
	inner := fieldOf(name, types.StringType, "")
	within := func(object any) any { return lookup(object, ExtensionAttributes) }
	return &types.FieldType{
		Type:    inner.Type,
		IsSet:   func(object any) bool { return inner.IsSet(within(object)) },
		GetFrom: func(object any) (any, error) { return inner.GetFrom(within(object)) },
	}
}

func lookup(object any, name string) any {
	switch o := object.(type) {
	case Values:
		return o[name]
	case map[string]any:
		return o[name]
	}
	return nil
}

// adapter makes CEL values of a user's.
type adapter struct{ types.Adapter }

func (a adapter) NativeToValue(v any) ref.Val {
	switch v := v.(type) {
	case Values:
		return types.NewStringInterfaceMap(a, v)
	case time.Time:
		return types.Timestamp{Time: v}
	}
	return a.Adapter.NativeToValue(v)
}

// environment is what expressions are compiled in.
func environment() (*cel.Env, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	return cel.NewEnv(append(functions(),
		cel.CustomTypeProvider(provider{registry}),
		cel.CustomTypeAdapter(adapter{registry}),
		cel.Variable("user", cel.ObjectType(userType)),
		cel.Variable("now", cel.TimestampType),
		cel.DefaultUTCTimeZone(true),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateDurationLiterals(), cel.ValidateHomogeneousAggregateLiterals()),
	)...)
}
