package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"strconv"
	"strings"

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
// type is an error that names it. It returns all errors there are, and nil for a file that is no TOML.
func readFile(path string, opts []option) (*configFile, []error) {
	text, err := readBounded(path)
	if err != nil {
		return nil, []error{err}
	}
	return parseFile(path, text, opts)
}

// parseFile reads the text of the file; path is for its errors.
func parseFile(path, text string, opts []option) (*configFile, []error) {
	var table map[string]any
	meta, err := toml.Decode(text, &table)
	if pe := (toml.ParseError{}); errors.As(err, &pe) {
		return nil, []error{fmt.Errorf("%s, line %d: %s", path, pe.Position.Line, pe.Message)}
	}
	if err != nil {
		return nil, []error{fmt.Errorf("%s: %w", path, err)}
	}
	byName := make(map[string]*option)
	for i := range opts {
		byName[opts[i].name] = &opts[i]
	}
	f, lines := &configFile{settings: make(map[string]setting)}, keyLines(text)
	var faults []error
	seen := map[string]bool{classKey: true}
	for _, key := range meta.Keys() {
		name := key[0]
		if seen[name] {
			continue
		}
		seen[name] = true
		at := path
		if line := lines[name]; line > 0 {
			at = fmt.Sprintf("%s, line %d", path, line)
		}
		o, ok := byName[name]
		if !ok {
			faults = append(faults, fmt.Errorf("%s: unknown key %s%s", at, name, didYouMean("", name, maps.Keys(byName))))
			continue
		}
		where := fmt.Sprintf("%s: key %s", at, name)
		values, err := o.fromTOML(table[name])
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", where, err))
			continue
		}
		f.settings[name] = setting{where, values}
	}
	if tables, ok := table[classKey]; ok {
		if f.classes, err = parseClasses(path, tables); err != nil {
			faults = append(faults, err)
		}
	}
	return f, faults
}

// keyLine matches a line that begins with a key of the top table, or with the head of another table.
var keyLine = regexp.MustCompile(`^[ \t]*(?:"?([A-Za-z0-9_-]+)"?[ \t]*[.=]|\[+[ \t]*"?([A-Za-z0-9_-]+))`)

// keyLines returns on which line each key of a file stands first. The file is TOML; where one is written in an unusual way, the line is
// another one or 0.
func keyLines(text string) map[string]int {
	lines, number, top := make(map[string]int), 0, true
	for line := range strings.Lines(text) {
		number++
		m := keyLine.FindStringSubmatch(line)
		if m == nil || m[1] != "" && !top {
			continue
		}
		top = top && m[2] == ""
		if name := m[1] + m[2]; lines[name] == 0 {
			lines[name] = number
		}
	}
	return lines
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
