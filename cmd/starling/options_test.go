package main

import (
	"strings"
	"testing"
)

// serveFlags are the flags that scripts rely on; --config is the one flag that is no option.
const serveFlags = `http https tls-cert tls-key max-connections max-connections-per-client udp admin livesync-interface livesync-group livesync-flush livesync-renew livesync-node
	livesync-dialect beacon-interval first-beacon-delay inquire-threshold tracker-id interval min-interval peer-timeout
	rate rate-sharing announce-rate uplink role livesync-rate one-root sibling sibling-health redirect
	cluster-key-file livesync-node-plain relay public-url admin-token-file admin-host full-scrape
	numwant max-numwant snapshot-interval state-dir user memory-limit allow deny deny-client abuse passkeys trusted-proxy scrape-sync log-level log-format`

func TestOptionsAreThePromisedOnes(t *testing.T) {
	promised := make(map[string]bool)
	for _, name := range strings.Fields(serveFlags) {
		promised[name] = true
	}
	opts := options(new(config))
	for i := range opts {
		o := &opts[i]
		if !promised[o.name] {
			t.Errorf("--%s is not promised, or there twice", o.name)
		}
		delete(promised, o.name)
		if o.set == nil || o.usage == "" || (o.value == "") != o.boolean || o.group == "" || o.defaultText() == "" {
			t.Errorf("--%s: incomplete: %+v", o.name, o)
		}
		if !strings.HasSuffix(o.usage, ".") {
			t.Errorf("--%s: the usage is no sentence: %s", o.name, o.usage)
		}
	}
	for name := range promised {
		t.Errorf("--%s is missing", name)
	}
}

// TestBadValues gives every option what it must refuse, as a flag, by its
// variable and by its key: exit code 2 and one line that names the place and the value.
func TestBadValues(t *testing.T) {
	address := []string{"6969", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "example.org:80", "::1:80", ":http"}
	network := []string{"10", "10.0.0.0/33", "10.0.0.0/24/2", "eth0", "::ffff:10.0.0.0/104", "fe80::1%lo"}
	duration := []string{"5", "5x", "-5s", "1000000h", "ten minutes"}
	number := []string{"0", "-1", "1001", "many", "1.5", "1e2", "99999999999999999999"}
	rate := []string{"0MB/s", "-1MB/s", "0B/s", "0.4B/s", "10MB", "10mb/s", "200/s", "MB/s", "1e3KB/s", "NaNMB/s", "99999999999999GB/s"}
	bad := map[string][]string{
		"http": address, "https": address, "udp": address, "admin": address,
		"trusted-proxy": network, "full-scrape": network, "livesync-node": append([]string{"fd00::/8", "::1"}, network...),
		"interval": duration, "min-interval": duration, "peer-timeout": duration, "livesync-flush": duration,
		"livesync-renew": duration, "beacon-interval": duration, "first-beacon-delay": duration, "snapshot-interval": duration,
		"numwant": number, "max-numwant": number,
		"max-connections": {"0", "-1", "all", "1048577"}, "max-connections-per-client": {"0", "-1", "some", "1048577"},
		"tls-cert": {"/nonexistent/cert.pem", "/dev"}, "tls-key": {"/nonexistent/key.pem", "/dev"},
		"rate": rate, "uplink": rate, "livesync-rate": rate,
		"announce-rate":       {"0/s", "-1/s", "2000", "2000/m", "1MB/s", "many/s", "1e3/s", "0.4/s", "/s"},
		"rate-sharing":        {"equal", "Fair"},
		"role":                {"spare", "Active"},
		"one-root":            {"yes", "1", "True"},
		"redirect":            {"yes", "0"},
		"sibling":             {"http://b:1", "b:1=http://b:2", "udp://b:1=http://b:2", "http://b:1/x=http://b:2", "http://b:1=b:2", "http://b:1=", "http://=http://b"},
		"sibling-health":      {"sane", "Lazy"},
		"livesync-interface":  {"no-such-interface0"},
		"livesync-node-plain": append([]string{"fd00::/8", "::1"}, network...),
		"cluster-key-file":    {"/dev/null", "/nonexistent/key", "/dev"},
		"admin-token-file":    {"/dev/null", "/nonexistent/token", "/dev"},
		"admin-host":          {"tracker1:6970", "http://tracker1", "*", "tracker one", ".example"},
		"relay":               {"nats", "http://h", "nats://", "nats://h:0", "tls://h:65536"},
		"public-url":          {"tracker.example", "ftp://tracker.example/announce", "http://", "http:///announce", "/announce", "http://a.example/café"},
		"livesync-group":      {"224.0.42.5", "224.0.42.5:0", "10.0.0.1:9696", "[ff02::1]:9696", "9696", "224.0.42.5:9696:1"},
		"livesync-dialect":    {"old", "Seed"},
		"scrape-sync":         {"yes", "Auto"},
		"inquire-threshold":   {"-1%", "-1", "a lot", "25%%", "10001%", "%"},
		"user":                {"root", "no-such-user", "nobody nobody"},
		"state-dir":           {"/dev/null", "/nonexistent/state"},
		"memory-limit":        {"512", "1mb", "63MiB", "-1GB", "0GB", "GB", "1e3MB", "512MiB/s", "9999999999999GiB"},
		"tracker-id":          {"00000000", "7f3a91", "7f3a91c2aa", "7f3a91cg", "0x7f3a91"},
		"allow":               {"/nonexistent/list", "/dev/null", "/dev"},
		"deny":                {"/nonexistent/list", "/dev/null", "/dev"},
		"deny-client":         {"/nonexistent/list", "/dev/null", "/dev"},
		"abuse":               {"on", "Jail"},
		"passkeys":            {"/nonexistent/list", "/dev/null", "/dev"},
		"log-level":           {"loud", "trace", "INFO", "6"},
		"log-format":          {"xml"},
	}
	opts := options(new(config))
	for i := range opts {
		o := &opts[i]
		if len(bad[o.name]) == 0 {
			t.Errorf("--%s: no bad value is tested", o.name)
		}
		for _, v := range append([]string{""}, bad[o.name]...) {
			t.Run(o.name+"="+v, func(t *testing.T) {
				quoted := strings.TrimSuffix(v, "%")
				invoke(t, nil, silentBut(o.name, "--"+o.name+"="+v)...).wantUsageError(t, "--"+o.name, quoted)
				invoke(t, []string{envName(o.name) + "=" + v}, silentBut(o.name)...).wantUsageError(t, envName(o.name), quoted)
			})
		}
	}
}

// silentBut returns the flags of silent without the one named, followed by args.
func silentBut(name string, args ...string) []string {
	var kept []string
	all := silent()
	kept = append(kept, all[0])
	for i := 1; i < len(all); i += 2 {
		if all[i] != "--"+name {
			kept = append(kept, all[i], all[i+1])
		}
	}
	return append(kept, args...)
}
