// Package bench measures both hosts beside their peers: `make bench`.
//
// What it prints are ratios of one run. Rounds are interleaved, so that a machine
// that slows down slows all of them, and the median of the rounds counts.
// Absolute numbers are of the machine it ran on and mean nothing elsewhere.
package bench
