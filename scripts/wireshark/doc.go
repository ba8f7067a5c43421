// Package wireshark keeps livesync.lua, a dissector of livesync for Wireshark and tshark. It has no code of its own: its test gives tshark packets of
// every kind, whole, cut off and damaged, and compares what it shows with what package wire reads.
package wireshark
