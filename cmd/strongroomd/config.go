package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/alecthomas/kong"
)

// configuration is a JSON file of flags by their names, as --help shows them.
type configuration map[string]any

func readConfiguration(r io.Reader) (kong.Resolver, error) {
	var c configuration
	d := json.NewDecoder(r)
	d.UseNumber()
	if err := d.Decode(&c); err != nil {
		return nil, fmt.Errorf("the configuration file is not one JSON object: %w", err)
	}
	if d.More() {
		return nil, fmt.Errorf("the configuration file goes on after its JSON object")
	}
	return c, nil
}

// Validate refuses a name that no command has: an operator who misspells a
// limit must not serve without it.
func (c configuration) Validate(app *kong.Application) error {
	known := map[string]bool{}
	kong.Visit(app, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			known[flag.Name] = true
		}
		return next(nil)
	})
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if !known[name] {
			return fmt.Errorf("the configuration file says %q, and there is no such flag", name)
		}
	}
	return nil
}

// Resolve gives the value of a flag that was given nowhere else: the command
// line goes first (kong sees to that), then the environment, then the file.
func (c configuration) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if os.Getenv(name) != "" {
			return nil, nil
		}
	}
	switch v := c[flag.Name].(type) {
	case nil:
		return nil, nil
	case json.Number:
		return v.String(), nil
	default:
		return v, nil
	}
}
