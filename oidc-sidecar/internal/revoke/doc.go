// Package revoke remembers what must not be accepted any more, across restarts of
// one sidecar (D8): sessions that were logged out, and ids that count only once.
//
//	Revoke, Once ─► the open batch ─► one write, one fsync ─► tables ─► the callers return
//	Revoked ─────────────────────────────────────────────────► tables
//	Open ◄─ journal ─► tables ─► a new journal
//
// The journal is the file "revocations.journal" of the state directory, 0600, a
// line of text for each entry:
//
//	sallyport revocations 1
//	revoked 2c26b46b68ffc68ff99b453c1d304134 1700000000000000 1700086400000000 7d5e1a0c
//	once fcde2b2edba56bf408601fb721fe9b5c 1700000060000000 0b1c2d3e
//
// An id is half of the key's SHA-256, so that no key is in the file or holds a line
// break; then come the time of the revocation and the end of the entry, in
// microseconds since 1970; then the CRC-32 (IEEE) of what precedes it. Whoever
// arrives while the disk is busy shares the next fsync with all the others.
//
// Lines are only ever appended. The file is written anew, beside the old one and
// put in its place by renaming, when it is opened, when it has grown to more than
// twice of what is alive, and after any failed write: the kernel forgets what
// an fsync could not write, so only a new file can be trusted again. A last line
// without an end is what a crash left of an entry that nobody was promised; it is
// dropped. Any other line that is not right is an error, since what it said is
// lost.
//
// Times are judged by the clock that Open is given, and rounded so that a
// revocation covers rather more. An entry whose end has passed is forgotten for
// good, even if the clock is set back later.
//
// It must never report as durable what is not, never forget an entry that is
// alive, and never take a replay for the first use: without room, or with a broken
// disk, the answer is an error. The directory's lock is the caller's (package
// state); two lists on one directory would lose each other's entries.
package revoke
