package main

import (
	"encoding/json"
	"testing"

	"starling/cmd/starling/doctor"
)

// The findings are a JSON array, whatever the host is like.
func TestDoctorJSON(t *testing.T) {
	r := invoke(t, nil, "doctor", "--json", "--listen", "100ms", "--livesync-interface", "lo", "--admin", "127.0.0.1:1")
	var all []doctor.Finding
	if err := json.Unmarshal([]byte(r.stdout), &all); err != nil || len(all) < 5 {
		t.Fatalf("%v: %q, %q", err, r.stdout, r.stderr)
	}
	if want := doctor.Sick(all); (r.code == exitFailure) != want || r.stderr != "" {
		t.Errorf("exit code %d, sick %v, stderr %q", r.code, want, r.stderr)
	}
}

func TestDoctorArguments(t *testing.T) {
	invoke(t, nil, "doctor", "--listen", "1ms").wantUsageError(t, "--listen", "1ms")
	invoke(t, nil, "doctor", "--livesync-group", "10.0.0.1:9696").wantUsageError(t, "--livesync-group", "10.0.0.1:9696")
	invoke(t, nil, "doctor", "--admin", "none").wantUsageError(t, "--admin")
}
