package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// redraw is how often a terminal is drawn anew: the figures are of the last whole second.
const redraw = time.Second

// The sequences of a terminal: to its first line, and clear what stands below the cursor.
const (
	home       = "\x1b[H"
	clearBelow = "\x1b[J"
	clearLine  = "\x1b[K"
)

// draw writes a picture: once, or on a terminal again and again until q or Ctrl-C.
func draw(ctx context.Context, w io.Writer, once bool, look func(context.Context) (string, error)) error {
	if !once && isTerminal(w) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		restore := quitKey(cancel)
		defer restore()
		return drawOn(ctx, w, look)
	}
	picture, err := look(ctx)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, picture)
	return err
}

// drawOn draws on a terminal until ctx ends, at once when its size changes. A node that does not answer once may be back the next time;
// one that never did is an error.
func drawOn(ctx context.Context, w io.Writer, look func(context.Context) (string, error)) error {
	ticker := time.NewTicker(redraw)
	defer ticker.Stop()
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	defer signal.Stop(resized)
	io.WriteString(w, home+clearBelow)
	for drawn := false; ; {
		picture, err := look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !drawn:
			return err
		case err != nil:
			fmt.Fprintf(w, "\r%s%s", cut(err.Error(), terminalWidth(w)), clearLine)
		default:
			drawn = true
			io.WriteString(w, home+strings.ReplaceAll(picture, "\n", clearLine+"\n")+clearBelow)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-resized:
		}
	}
}

// terminalSize returns how many columns and lines the terminal behind w has, 80 and 0, any number, when there is none.
func terminalSize(w io.Writer) (columns, lines int) {
	if f, ok := w.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
			return int(size.Col), int(size.Row)
		}
	}
	return 80, 0
}

func terminalWidth(w io.Writer) int {
	columns, _ := terminalSize(w)
	return columns
}

// quitKey calls quit when q is pressed, for which the terminal has to hand over keys at once and not show them. restore
// makes it as it was.
func quitKey(quit func()) (restore func()) {
	in := int(os.Stdin.Fd())
	was, err := unix.IoctlGetTermios(in, unix.TCGETS)
	if err != nil {
		return func() {} // no terminal: there are no keys
	}
	now := *was
	now.Lflag &^= unix.ICANON | unix.ECHO // Ctrl-C stays what it is
	if unix.IoctlSetTermios(in, unix.TCSETS, &now) != nil {
		return func() {}
	}
	go func() { // it ends with the program, which is when nobody reads keys any more
		key := make([]byte, 1)
		for {
			if n, err := os.Stdin.Read(key); n == 0 || err != nil {
				return
			}
			if key[0] == 'q' || key[0] == 'Q' {
				quit()
				return
			}
		}
	}()
	return func() { unix.IoctlSetTermios(in, unix.TCSETS, was) }
}

// cut returns the first columns of a text of printable ASCII.
func cut(s string, columns int) string { return s[:min(len(s), max(columns, 0))] }
