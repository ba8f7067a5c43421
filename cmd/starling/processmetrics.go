package main

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"runtime/pprof"
	"strconv"
	"syscall"
	"time"
)

// goMetrics are the figures of the runtime under the names that dashboards for Go programs know.
var goMetrics = []struct {
	name, kind, help string
	source           []string // of package runtime/metrics, to be added up
}{
	{"go_gc_cycles_total", "counter", "Collections of garbage.", []string{"/gc/cycles/total:gc-cycles"}},
	{"go_gc_gomemlimit_bytes", "gauge", "The memory that the collector tries to stay below.", []string{"/gc/gomemlimit:bytes"}},
	{"go_memstats_alloc_bytes", "gauge", "Memory of everything that is allocated, garbage not collected yet included.", []string{"/memory/classes/heap/objects:bytes"}},
	{"go_memstats_alloc_bytes_total", "counter", "Memory that was ever allocated.", []string{"/gc/heap/allocs:bytes"}},
	{"go_memstats_heap_inuse_bytes", "gauge", "Memory of spans that hold something.", []string{"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes"}},
	{"go_memstats_heap_idle_bytes", "gauge", "Memory of spans that hold nothing.", []string{"/memory/classes/heap/free:bytes", "/memory/classes/heap/released:bytes"}},
	{"go_memstats_heap_released_bytes", "gauge", "Of that, memory given back to the system.", []string{"/memory/classes/heap/released:bytes"}},
	{"go_memstats_heap_objects", "gauge", "Things that are allocated.", []string{"/gc/heap/objects:objects"}},
	{"go_memstats_mallocs_total", "counter", "Things that were ever allocated.", []string{"/gc/heap/allocs:objects"}},
	{"go_memstats_next_gc_bytes", "gauge", "The size of the heap at which the next collection begins.", []string{"/gc/heap/goal:bytes"}},
	{"go_memstats_stack_inuse_bytes", "gauge", "Memory of stacks.", []string{"/memory/classes/heap/stacks:bytes"}},
	{"go_memstats_sys_bytes", "gauge", "Memory mapped from the system.", []string{"/memory/classes/total:bytes"}},
	{"go_sched_gomaxprocs_threads", "gauge", "Processors that this process may use at a time.", []string{"/sched/gomaxprocs:threads"}},
}

// runtime adds the figures of the language's runtime.
func (e *exposition) runtime() {
	e.family("go_info", "gauge", "Always 1; the label tells the version of Go.").sample(1, "version", runtime.Version())
	e.family("go_goroutines", "gauge", "Goroutines that exist; one for each HTTP connection that is slow, paced or encrypted, and a few more.").sample(float64(runtime.NumGoroutine()))
	e.family("go_threads", "gauge", "Threads that were made.").sample(float64(pprof.Lookup("threadcreate").Count()))
	gc := debug.GCStats{PauseQuantiles: make([]time.Duration, 5)}
	debug.ReadGCStats(&gc)
	e.family("go_gc_duration_seconds", "summary", "For how long the program stood still for a collection of garbage.")
	for i, pause := range gc.PauseQuantiles {
		e.sample(pause.Seconds(), "quantile", strconv.FormatFloat(float64(i)/4, 'g', -1, 64))
	}
	e.part("_sum", gc.PauseTotal.Seconds()).part("_count", float64(gc.NumGC))
	for _, m := range goMetrics {
		samples, sum := make([]metrics.Sample, len(m.source)), 0.0
		for i, source := range m.source {
			samples[i].Name = source
		}
		metrics.Read(samples)
		for _, s := range samples {
			if s.Value.Kind() == metrics.KindUint64 { // bad: this runtime does not have it
				sum += float64(s.Value.Uint64())
			}
		}
		e.family(m.name, m.kind, m.help).sample(sum)
	}
}

// process adds what the system says of this process. What it does not say is left out.
func (e *exposition) process() {
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) == nil {
		cpu := float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
		e.family("process_cpu_seconds_total", "counter", "Processor time, the system's on behalf of this process included.").sample(cpu)
	}
	if stat, err := os.ReadFile("/proc/self/statm"); err == nil {
		var pages [2]uint64
		for i, field := range bytes.Fields(stat)[:2] {
			pages[i], _ = strconv.ParseUint(string(field), 10, 64)
		}
		page := float64(os.Getpagesize())
		e.family("process_virtual_memory_bytes", "gauge", "Address space.").sample(float64(pages[0]) * page)
		e.family("process_resident_memory_bytes", "gauge", "Memory that is really there.").sample(float64(pages[1]) * page)
	}
	if n, ok := openFiles(); ok {
		e.family("process_open_fds", "gauge", "Open files and sockets.").sample(float64(n))
	}
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) == nil {
		e.family("process_max_fds", "gauge", "How many files and sockets may be open.").sample(float64(files.Cur))
	}
	if start, ok := processStart(); ok {
		e.family("process_start_time_seconds", "gauge", "When this process started, in seconds since 1970.").sample(start)
	}
}

// openFiles counts the file descriptors. Since Linux 6.2 the directory's size is their number.
func openFiles() (n int64, ok bool) {
	const path = "/proc/self/fd"
	if info, err := os.Stat(path); err == nil && info.Size() > 0 {
		return info.Size(), true
	}
	dir, err := os.Open(path)
	if err != nil {
		return 0, false
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	return int64(len(names)) - 1, err == nil // less the one of the directory
}

// clockTick is the unit of times in /proc: a hundredth of a second, on every Linux that Go runs on.
const clockTick = 100

// processStart returns when this process started, in seconds since 1970: the machine's start and field 22 of proc(5)'s
// stat, which is counted from there.
func processStart() (seconds float64, ok bool) {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, false
	}
	// The second field is the program's name in parentheses, which may hold spaces.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	machine, err := os.ReadFile("/proc/stat")
	if err != nil || len(fields) < 20 {
		return 0, false
	}
	ticks, err := strconv.ParseUint(string(fields[19]), 10, 64)
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(machine) {
		if rest, found := bytes.CutPrefix(line, []byte("btime ")); found {
			boot, err := strconv.ParseUint(string(bytes.TrimSpace(rest)), 10, 64)
			return float64(boot) + float64(ticks)/clockTick, err == nil
		}
	}
	return 0, false
}
