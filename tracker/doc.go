// Package tracker keeps the swarms of a BitTorrent tracker.
package tracker
