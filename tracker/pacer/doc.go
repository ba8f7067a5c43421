// Package pacer is being written.
package pacer
