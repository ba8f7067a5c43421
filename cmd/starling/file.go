package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strconv"

	"github.com/BurntSushi/toml"
)

// maxConfigFile bounds the configuration file; a mistaken path may lead to a device without end.
const maxConfigFile = 1 << 20

// configFile is what a configuration file says.
type configFile struct {
	settings map[string]setting // by option name
	classes  classTables
}

// readFile reads the configuration file: a flat TOML table whose keys are the
// names of the options, and the tables of classes. It is strict, since a setting that silently does not
// take hold is the worst kind: an unknown key, an empty value or a value of another
// type is an error that names it.
func readFile(path string, opts []option) (*configFile, error) {
	text, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	return parseFile(path, text, opts)
}

// parseFile reads the text of the file; path is for its errors.
func parseFile(path, text string, opts []option) (*configFile, error) {
	var table map[string]any
	meta, err := toml.Decode(text, &table)
	if pe := (toml.ParseError{}); errors.As(err, &pe) {
		return nil, fmt.Errorf("%s, line %d: %s", path, pe.Position.Line, pe.Message)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	byName := make(map[string]*option)
	for i := range opts {
		byName[opts[i].name] = &opts[i]
	}
	f := &configFile{settings: make(map[string]setting)}
	for _, key := range meta.Keys() {
		name := key[0]
		if name == classKey {
			continue
		}
		o, ok := byName[name]
		if !ok {
			return nil, fmt.Errorf("%s: unknown key %s%s", path, name, didYouMean("", name, maps.Keys(byName)))
		}
		where := fmt.Sprintf("%s: key %s", path, name)
		values, err := o.fromTOML(table[name])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		f.settings[name] = setting{where, values}
	}
	if tables, ok := table[classKey]; ok {
		if f.classes, err = parseClasses(path, tables); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// readBounded reads a file of at most maxConfigFile bytes.
func readBounded(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxConfigFile+1))
	if err != nil {
		return "", err
	}
	if len(b) > maxConfigFile {
		return "", fmt.Errorf("%s: longer than %d bytes, which no configuration is", path, maxConfigFile)
	}
	return string(b), nil
}

// fromTOML returns the values of a key as they would be written on the command line.
func (o *option) fromTOML(v any) ([]string, error) {
	switch v := v.(type) {
	case string:
		if !o.list {
			return []string{v}, nil
		}
	case bool:
		if o.boolean {
			return []string{strconv.FormatBool(v)}, nil
		}
	case int64:
		if o.number {
			return []string{strconv.FormatInt(v, 10)}, nil
		}
	case []any:
		if o.list {
			return stringArray(v)
		}
	}
	switch {
	case o.list:
		return nil, fmt.Errorf("want an array of strings, such as %s = [%q]", o.name, o.example())
	case o.boolean:
		return nil, fmt.Errorf("want true or false, such as %s = true", o.name)
	case o.number:
		return nil, fmt.Errorf("want a number, such as %s = %s", o.name, o.example())
	}
	return nil, fmt.Errorf("want a string, such as %s = %q", o.name, o.example())
}

// stringArray returns the elements of an array of strings.
func stringArray(array []any) ([]string, error) {
	values := make([]string, len(array))
	for i, e := range array {
		s, ok := e.(string)
		if !ok {
			return nil, fmt.Errorf("element %d of the array is not a string", i+1)
		}
		values[i] = s
	}
	if len(values) == 0 {
		return nil, errors.New("the array is empty; leave the key out for the default")
	}
	return values, nil
}

// example returns a value the option takes.
func (o *option) example() string {
	switch {
	case o.def != "":
		return o.def
	case o.list:
		return "10.0.0.0/24"
	}
	return o.value
}
