package main

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"starling/tracker/pacer"
)

// classKey is the name of the tables in the configuration file that divide the rates.
const classKey = "class"

// classTables are the [[class]] tables of the configuration file.
type classTables struct {
	where string        // how a message names them
	list  []pacer.Class // none: the classes that are built in
	bytes string        // the name of a class with an amount in bytes, if there is one
	count string        // likewise in requests
}

// checkUnits refuses absolute amounts that are of another unit than the rate they are part of.
func (t *classTables) checkUnits(bytes, requests bool) error {
	switch {
	case t.bytes != "" && requests:
		return fmt.Errorf("%s: %q has an amount in bytes a second, which is no part of announce-rate; use percentages", t.where, t.bytes)
	case t.count != "" && bytes:
		return fmt.Errorf("%s: %q has an amount in requests a second, which is no part of rate or uplink; use percentages", t.where, t.count)
	}
	return nil
}

// parseClasses reads the value of the key class. A class is named in errors, by its number until its name is known.
func parseClasses(path string, v any) (t classTables, err error) {
	t.where = path + ": classes"
	tables, ok := v.([]map[string]any)
	if !ok {
		return t, fmt.Errorf("%s: write each as a table of its own, [[class]]", t.where)
	}
	if len(tables) > maxClasses {
		return t, fmt.Errorf("%s: there are %d, at most %d", t.where, len(tables), maxClasses)
	}
	for i, table := range tables {
		where := fmt.Sprintf("%s: class number %d", path, i+1)
		if name, ok := table["name"].(string); ok {
			where = fmt.Sprintf("%s: class %.40q", path, name)
		}
		if err := t.add(table); err != nil {
			return t, fmt.Errorf("%s: %w", where, err)
		}
	}
	return t, nil
}

// add reads one table.
func (t *classTables) add(table map[string]any) error {
	var c pacer.Class
	var rate, ceil, wait, scheduler string
	var burst, priority int64
	var match any
	err := readTable(table, map[string]any{
		"name": &c.Name, "parent": &c.Parent, "rate": &rate, "ceil": &ceil, "burst": &burst, "priority": &priority,
		"wait": &wait, "scheduler": &scheduler, "match": &match,
	})
	switch {
	case err != nil:
		return err
	case c.Name == "":
		return errors.New("it has no name")
	case len(c.Name) > maxClassName || strings.ContainsFunc(c.Name, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }):
		return fmt.Errorf("its name has more than %d characters, or one that is no letter, digit or mark", maxClassName) // it is a label of metrics
	case rate == "":
		return errors.New(`it has no rate, such as rate = "30%"`)
	case burst < 0:
		return fmt.Errorf("burst: %d is below zero", burst)
	case priority < 0 || priority > maxPriority:
		return fmt.Errorf("priority: %d is not between 0 and %d", priority, maxPriority)
	}
	c.Burst, c.Priority = burst, int(priority)
	if c.Rate, err = t.amount(c.Name, rate); err != nil {
		return fmt.Errorf("rate: %w", err)
	}
	if ceil != "" {
		if c.Ceil, err = t.amount(c.Name, ceil); err != nil {
			return fmt.Errorf("ceil: %w", err)
		}
	}
	c.Wait = defaultWait
	if wait != "" {
		if err := setDuration(&c.Wait, 0, maxWait)(wait); err != nil {
			return fmt.Errorf("wait: %w", err)
		}
	}
	if scheduler != "" {
		if c.Scheduler, err = pacer.ParseDiscipline(scheduler); err != nil {
			return err
		}
	}
	if c.Match, err = parseMatches(match); err != nil {
		return fmt.Errorf("match: %w", err)
	}
	t.list = append(t.list, c)
	return nil
}

// Bounds of a class. A client gives up after some ten seconds, but a full scrape may wait longer.
const (
	maxClassName = 40
	maxPriority  = 1000
	maxClasses   = 256
	defaultWait  = 2 * time.Second
	maxWait      = time.Minute
)

// amount reads a percentage, or a rate of either unit, and notes which.
func (t *classTables) amount(class, s string) (pacer.Amount, error) {
	a, err := pacer.ParseAmount(s, pacer.Requests)
	if err == nil {
		if s[len(s)-1] != '%' {
			t.count = class
		}
		return a, nil
	}
	b, ofBytes := pacer.ParseAmount(s, pacer.Bytes)
	if ofBytes == nil {
		t.bytes = class
		return b, nil
	}
	if _, unit, wrong := pacer.ParseRate(s); wrong == nil && unit == pacer.Bytes {
		err = ofBytes
	}
	return a, err
}

// parseMatches reads what requests are of a class: one table, or several of which one must fit.
func parseMatches(v any) ([]pacer.Match, error) {
	tables, ok := tablesOf(v)
	if !ok {
		return nil, errors.New(`want a table, such as match = {event = ["started"]}`)
	}
	var all []pacer.Match
	for _, table := range tables {
		m, err := parseMatch(table)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// tablesOf returns the tables of a value: none, one, [[class.match]] ones, or an array of inline ones.
func tablesOf(v any) (tables []map[string]any, ok bool) {
	switch v := v.(type) {
	case nil:
		return nil, true
	case map[string]any:
		return []map[string]any{v}, true
	case []map[string]any:
		return v, true
	case []any:
		for _, e := range v {
			table, ok := e.(map[string]any)
			if !ok {
				return nil, false
			}
			tables = append(tables, table)
		}
		return tables, true
	}
	return nil, false
}

func parseMatch(table map[string]any) (m pacer.Match, err error) {
	var events, networks []string
	err = readTable(table, map[string]any{
		"event": &events, "path": &m.Paths, "network": &networks, "client": &m.ClientIDs,
	})
	if err != nil {
		return m, err
	}
	if len(table) == 0 {
		return m, errors.New("the table is empty; it has event, path, network or client")
	}
	for _, e := range events {
		k, err := pacer.ParseKind(e)
		if err != nil {
			return m, err
		}
		m.Kinds = append(m.Kinds, k)
	}
	for _, s := range networks {
		var n []netip.Prefix
		if err := setPrefix(&n)(s); err != nil {
			return m, fmt.Errorf("network: %w", err)
		}
		m.Networks = append(m.Networks, n...)
	}
	if slices.Contains(m.Paths, "") || slices.Contains(m.ClientIDs, "") {
		return m, errors.New("a path or client id is empty")
	}
	return m, nil
}

// readTable stores the values of a table where fields, by key, points to: strings, numbers and arrays of strings. A key
// that is not among them, and a value of another type or an empty one, is an error that names the key.
func readTable(table map[string]any, fields map[string]any) error {
	for _, key := range slices.Sorted(maps.Keys(table)) {
		field, ok := fields[key]
		if !ok {
			return fmt.Errorf("unknown key %s%s", key, didYouMean("", key, maps.Keys(fields)))
		}
		if err := readValue(table[key], field); err != nil {
			return fmt.Errorf("key %s: %w", key, err)
		}
	}
	return nil
}

func readValue(v, field any) (err error) {
	switch p := field.(type) {
	case *string:
		s, ok := v.(string)
		if !ok || s == "" {
			return errors.New("want a string that is not empty")
		}
		*p = s
	case *int64:
		n, ok := v.(int64)
		if !ok {
			return errors.New("want a whole number")
		}
		*p = n
	case *[]string:
		array, ok := v.([]any)
		if !ok {
			return errors.New("want an array of strings")
		}
		*p, err = stringArray(array)
	case *any:
		*p = v
	}
	return err
}
