// Package archtest holds the tests of the tree itself, those that no single
// package can make: that imports point one way, that every package says what
// it is for, that files stay readable in one sitting. It has no code of its own.
package archtest
