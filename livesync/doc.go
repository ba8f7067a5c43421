// Package livesync tells the other nodes of a cluster what this node's clients
// announce, and takes in what the others tell, over IPv4 multicast.
package livesync
