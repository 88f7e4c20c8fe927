package config

import _ "embed"

//go:embed tenantsync.schema.json
var schema string

// Schema is the JSON Schema (draft 2020-12) of the file. It knows every key that the parser takes, and of the values all that can be
// told of one by itself; expressions, and names of what stands elsewhere in the file, only ReadFile checks.
func Schema() string { return schema }
