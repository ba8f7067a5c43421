package access

import "maps"

// overlay is what edits say beside the files: of each key whether it was added or removed. It does not change; [overlay.with] makes another. The zero
// overlay is empty.
//
//	recent   copied by every change, and small beside base
//	base     made anew when recent has grown to a part of it
type overlay[K comparable, V edit] struct {
	recent, base map[K]V
}

// edit is what is said of a key. One that is void says nothing, and is there only to take the place of one before it.
type edit interface{ void() bool }

// Op is what an edit does to an entry of a list.
type Op uint8

// The ops. None takes an edit back: what the file says holds again.
const (
	None Op = iota
	Added
	Removed
)

func (o Op) void() bool { return o == None }

// recentLeast is how many edits recent may have in any case, and recentPart which part of base.
const (
	recentLeast = 1 << 10
	recentPart  = 16
)

// get returns what the edits say of a key, if they do.
func (o *overlay[K, V]) get(k K) (v V, ok bool) {
	if len(o.recent) > 0 {
		if v, ok = o.recent[k]; ok {
			return v, !v.void()
		}
	}
	if len(o.base) > 0 {
		v, ok = o.base[k]
	}
	return v, ok
}

// empty reports whether there are no edits, which costs less to ask than to look for one.
func (o *overlay[K, V]) empty() bool { return len(o.recent) == 0 && len(o.base) == 0 }

// with returns an overlay in which the changes hold, too.
func (o overlay[K, V]) with(changes map[K]V) overlay[K, V] {
	if len(changes) == 0 {
		return o
	}
	recent := make(map[K]V, len(o.recent)+len(changes))
	maps.Copy(recent, o.recent)
	maps.Copy(recent, changes)
	if len(recent) <= max(recentLeast, len(o.base)/recentPart) {
		return overlay[K, V]{recent, o.base}
	}
	base := make(map[K]V, len(o.base)+len(recent))
	maps.Copy(base, o.base)
	maps.Copy(base, recent)
	maps.DeleteFunc(base, func(_ K, v V) bool { return v.void() })
	return overlay[K, V]{nil, base}
}
