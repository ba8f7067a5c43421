package document

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// patience bounds the builds of these tests.
const patience = time.Minute

// read reads all there is and returns how it ended.
func read(ctx context.Context, r *Reader) (string, error) {
	defer r.Close()
	var all strings.Builder
	for {
		b, err := r.Next(ctx)
		if err == io.EOF {
			return all.String(), nil
		}
		if err != nil {
			return all.String(), err
		}
		all.Write(b)
	}
}

// get asks for the document now and reads it.
func get(t *testing.T, d *Document) (string, error) {
	t.Helper()
	r, err := d.Get(time.Now())
	if err != nil {
		return "", err
	}
	return read(t.Context(), r)
}

// want fails the test unless the document is now this one.
func want(t *testing.T, d *Document, text string) {
	t.Helper()
	if got, err := get(t, d); got != text || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, text)
	}
}

// numbered writes its number in two halves, a second apart.
type numbered struct{ builds int }

func (n *numbered) build(_ context.Context, w io.Writer) error {
	n.builds++
	fmt.Fprintf(w, "this is ")
	<-time.After(time.Second)
	_, err := fmt.Fprintf(w, "%d", n.builds)
	return err
}

// TestOvertakenReader: a request that read the clock, and waited while another's build began, finds that build's copy and begins none.
func TestOvertakenReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n numbered
		d := New(Config{Build: n.build, Fresh: 20 * time.Millisecond, Timeout: patience, MaxSize: 100})
		early := time.Now()
		<-time.After(300 * time.Millisecond)
		want(t, d, "this is 1")
		r, err := d.Get(early)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := read(t.Context(), r); got != "this is 1" || err != nil || n.builds != 1 {
			t.Errorf("got %q, %v after %d builds", got, err, n.builds)
		}
	})
}

// TestBuiltOnce: the first request waits with the others, all follow one build as its bytes come, and later ones find the copy.
func TestBuiltOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n numbered
		d := New(Config{Build: n.build, Fresh: time.Minute, Timeout: patience, MaxSize: 100})
		start := time.Now()
		done := make(chan struct{})
		for range 10 {
			go func() {
				r, err := d.Get(start)
				if err != nil {
					t.Error(err)
					return
				}
				first, err := r.Next(t.Context())
				if string(first) != "this is " || err != nil || time.Since(start) != 0 {
					t.Errorf("first %q, %v, after %v", first, err, time.Since(start))
				}
				rest, err := read(t.Context(), r)
				if rest != "1" || err != nil || time.Since(start) != time.Second {
					t.Errorf("rest %q, %v, after %v", rest, err, time.Since(start))
				}
				done <- struct{}{}
			}()
		}
		<-time.After(time.Second / 2)
		want(t, d, "this is 1") // one that comes later gets what there is already, too
		for range 10 {
			<-done
		}
		want(t, d, "this is 1")
		if got := d.Counts(); got != (Counts{Fresh: 1, Followed: 11, Built: 1}) || n.builds != 1 {
			t.Errorf("%+v, %d builds", got, n.builds)
		}
	})
}

// TestStaleToAll: while another copy is made all are given the stale one at once, the first who found it out included.
func TestStaleToAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n numbered
		d := New(Config{Build: n.build, Fresh: time.Minute, Timeout: patience, MaxSize: 100})
		want(t, d, "this is 1")
		<-time.After(time.Hour)
		start := time.Now()
		for range 10 {
			want(t, d, "this is 1")
		}
		if time.Since(start) != 0 {
			t.Errorf("they waited for %v", time.Since(start))
		}
		<-time.After(time.Second)
		synctest.Wait()
		want(t, d, "this is 2")
		if got := d.Counts(); got != (Counts{Fresh: 1, Followed: 1, Stale: 10, Built: 2}) {
			t.Errorf("%+v", got)
		}
	})
}

// TestTooOldToServe: beyond Keep a request waits rather than be given the old copy, unless the new one fails.
func TestTooOldToServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n numbered
		fails := false
		d := New(Config{Fresh: time.Minute, Keep: time.Hour, Timeout: patience, MaxSize: 100, Build: func(ctx context.Context, w io.Writer) error {
			if fails {
				<-time.After(time.Second)
				return errors.New("out of ink")
			}
			return n.build(ctx, w)
		}})
		want(t, d, "this is 1")
		<-time.After(time.Hour - 1 - time.Second) // since its build began
		want(t, d, "this is 1")                   // and the second is made
		<-time.After(time.Hour)
		want(t, d, "this is 3")
		<-time.After(time.Hour + time.Minute)
		want(t, d, "this is 4")

		fails = true
		<-time.After(2 * time.Hour)
		start := time.Now()
		r, err := d.Get(start)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := read(t.Context(), r); got != "this is 4" || err != nil || time.Since(start) != time.Second {
			t.Errorf("got %q, %v, after %v", got, err, time.Since(start))
		}
		if age, stale := r.Stale(); !stale || age != 2*time.Hour+time.Second {
			t.Errorf("stale %t, %v old", stale, age)
		}
		want(t, d, "this is 4") // at once: it is not tried again yet
		if time.Since(start) != time.Second {
			t.Errorf("waited until %v", time.Since(start))
		}
	})
}

// TestBuildFails: those who follow are told, none of what they have read is
// taken back, and the next try is when the copy would have been stale.
func TestBuildFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		builds := 0
		ink := errors.New("out of ink")
		a := NewAdmission(func() uint64 { return 1 << 20 })
		d := New(Config{Fresh: time.Minute, Timeout: patience, MaxSize: 100, Admission: a, Build: func(_ context.Context, w io.Writer) error {
			builds++
			io.WriteString(w, "half")
			<-time.After(time.Second)
			return ink
		}})
		for range 3 {
			if got, err := get(t, d); got != "half" || err != ink {
				t.Errorf("followed: %q, %v", got, err)
			}
			for range 5 {
				if got, err := get(t, d); got != "" || err != ink {
					t.Errorf("after that: %q, %v", got, err)
				}
			}
			<-time.After(time.Minute)
		}
		if got := d.Counts(); got != (Counts{Followed: 3, Unavailable: 15, Failed: 3}) || builds != 3 || a.Live() != 0 {
			t.Errorf("%+v, %d builds, %d live", got, builds, a.Live())
		}
	})
}

// TestBuildBounds: a build that takes too long or writes too much has failed, and so has one whose source ended early.
func TestBuildBounds(t *testing.T) {
	for want, build := range map[error]func(context.Context, io.Writer) error{
		context.DeadlineExceeded: func(ctx context.Context, _ io.Writer) error { <-ctx.Done(); return ctx.Err() },
		io.ErrUnexpectedEOF:      func(context.Context, io.Writer) error { return io.EOF },
		errTooLong: func(_ context.Context, w io.Writer) error {
			for range 1000 { // whatever a builder makes of the error
				io.WriteString(w, "0123456789")
			}
			return nil
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := New(Config{Build: build, Fresh: time.Minute, Timeout: patience, MaxSize: 100})
			if got, err := get(t, d); !errors.Is(err, want) || len(got) > 100 {
				t.Errorf("got %q, %v, want %v", got, err, want)
			}
		})
	}
}

// TestReaderGivesUp: who waits no longer gets the old copy if there is one; the build goes on for the others.
func TestReaderGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n numbered
		slow := func(ctx context.Context, w io.Writer) error {
			<-time.After(5 * time.Second)
			return n.build(ctx, w)
		}
		d := New(Config{Build: slow, Fresh: time.Minute, Keep: time.Hour, Timeout: patience, MaxSize: 100})
		impatient := func() (string, error) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			r, err := d.Get(time.Now())
			if err != nil {
				return "", err
			}
			return read(ctx, r)
		}
		if got, err := impatient(); err != context.DeadlineExceeded {
			t.Errorf("without a copy: %q, %v", got, err)
		}
		want(t, d, "this is 1")
		<-time.After(2 * time.Hour)
		if got, err := impatient(); got != "this is 1" || err != nil {
			t.Errorf("with a copy: %q, %v", got, err)
		}
		want(t, d, "this is 2")
	})
}

// TestClockSetBack: a copy from the future is not fresh for an hour.
func TestClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n numbered
		d := New(Config{Build: n.build, Fresh: time.Minute, Timeout: patience, MaxSize: 100})
		want(t, d, "this is 1")
		for _, text := range []string{"this is 2", "this is 3"} {
			r, err := d.Get(time.Now().Add(-time.Duration(n.builds) * time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := read(t.Context(), r); got != text || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, text)
			}
			synctest.Wait()
		}
	})
}

// TestOverload: without room there is the last good copy, however old and without a build, and an error when there is none.
func TestOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n numbered
		a := NewAdmission(func() uint64 { return 20 })
		config := Config{Build: n.build, Fresh: time.Minute, Keep: time.Hour, Timeout: patience, MaxSize: 100, Admission: a}
		d, other := New(config), New(config)
		first, err := d.Get(time.Now()) // one is always admitted
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Get(time.Now()); err != ErrOverload {
			t.Errorf("the other document: %v", err)
		}
		if got, err := read(t.Context(), first); got != "this is 1" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		synctest.Wait()
		var live []*Reader // two of nine bytes fit
		for range 2 {
			r, err := d.Get(time.Now())
			if err != nil {
				t.Fatal(err)
			}
			live = append(live, r)
		}
		<-time.After(2 * time.Hour)
		r, err := d.Get(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if age, stale := r.Stale(); !stale || age != 2*time.Hour+time.Second {
			t.Errorf("stale %t, %v old", stale, age)
		}
		if got, err := read(t.Context(), r); got != "this is 1" || err != nil || n.builds != 1 || a.Live() != 2 {
			t.Errorf("got %q, %v after %d builds, %d live", got, err, n.builds, a.Live())
		}
		for _, r := range live {
			r.Close()
			r.Close() // does no harm
		}
		want(t, d, "this is 2")
		if a.Live() != 0 {
			t.Errorf("%d live at the end", a.Live())
		}
		if got := d.Counts(); got.Stale != 1 || other.Counts() != (Counts{Unavailable: 1}) {
			t.Errorf("%+v and %+v", got, other.Counts())
		}
	})
}
