package main

import (
	"bytes"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

func TestVersionOf(t *testing.T) {
	settings := []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef0123"}, {Key: "vcs.modified", Value: "true"}}
	for _, tt := range []struct {
		info debug.BuildInfo
		want string
	}{
		{debug.BuildInfo{}, "devel"},
		{debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "devel"},
		{debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: settings[:1]}, "devel-0123456789ab"},
		{debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: settings}, "devel-0123456789ab+dirty"},
		{debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: settings}, "v1.2.3"},
	} {
		if got := versionOf(&tt.info); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

// TestLogFormat: JSON for machines, lines for people when asked for; below the level nothing.
func TestLogFormat(t *testing.T) {
	for format, want := range map[string]string{"json": `{"level":"warn"`, "auto": `{"level":"warn"`, "console": "WRN hello"} {
		var b bytes.Buffer
		log := newLogger(&b, zerolog.WarnLevel, format)
		log.Info().Msg("quiet")
		log.Warn().Msg("hello")
		if !strings.Contains(b.String(), want) || strings.Contains(b.String(), "quiet") || strings.Contains(b.String(), "\x1b") {
			t.Errorf("%s: got %q", format, b.String())
		}
	}
}
