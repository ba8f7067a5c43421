package wireshark

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// writeCapture writes a file of datagrams from 10.0.0.2 to the group 224.0.42.5, at a port of an on-demand tracker for every second of them.
func writeCapture(t *testing.T, packets [][]byte) string {
	t.Helper()
	const rawIP = 101
	b := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4) // times in microseconds
	b = binary.LittleEndian.AppendUint32(b, 2|4<<16)       // version
	b = append(b, make([]byte, 8)...)
	b = binary.LittleEndian.AppendUint32(b, 1<<16)
	b = binary.LittleEndian.AppendUint32(b, rawIP)
	for i, p := range packets {
		port := 9696
		if i%2 == 1 && len(p) >= 8 && bytes.IndexByte([]byte{0, 'S'}, p[4]) >= 0 && known(p) {
			port = 23456
		}
		length := uint32(28 + len(p))
		b = append(b, make([]byte, 8)...)
		b = binary.LittleEndian.AppendUint32(b, length)
		b = binary.LittleEndian.AppendUint32(b, length)
		b = append(b, 0x45, 0, byte(length>>8), byte(length), 0, 0, 0, 0, 1, 17, 0, 0, 10, 0, 0, 2, 224, 0, 42, 5)
		b = binary.BigEndian.AppendUint16(b, 40123)
		b = binary.BigEndian.AppendUint16(b, uint16(port))
		b = binary.BigEndian.AppendUint16(b, uint16(8+len(p)))
		b = append(append(b, 0, 0), p...)
	}
	path := filepath.Join(t.TempDir(), "livesync.pcap")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// known reports whether a packet has a type that the dissector recognises on any port of the group.
func known(p []byte) bool {
	typ := binary.BigEndian.Uint32(p[4:])
	return typ <= 3 || typ > 0x53540000 && typ <= 0x53540006
}

// tshark returns for each packet of a capture the values of fields as the dissector shows them, by name.
func tshark(t *testing.T, capture string, fields []string) []map[string][]string {
	t.Helper()
	path, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("the dissector is for tshark, which is not here: apt-get install tshark")
	}
	args := []string{"-X", "lua_script:livesync.lua", "-r", capture, "-n", "-T", "fields", "-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=|"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	cmd := exec.Command(path, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C", "HOME="+t.TempDir()) // no settings or plugins of whoever runs this
	out, err := cmd.Output()
	if err != nil || strings.Contains(strings.ToLower(said.String()), "lua") {
		t.Fatalf("tshark: %v\n%s", err, said.String())
	}
	var rows []map[string][]string
	for line := range strings.Lines(string(out)) {
		row := make(map[string][]string)
		for i, value := range strings.Split(strings.TrimSuffix(line, "\n"), "\t") {
			if value != "" {
				row[fields[i]] = strings.Split(value, "|")
			}
		}
		rows = append(rows, row)
	}
	return rows
}
