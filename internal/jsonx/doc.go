// Package jsonx reads JSON strictly, within bounds and without reflection, and
// writes the little JSON that filter and sidecar exchange.
//
// It exists because encoding/json lets the last of two equal members win and
// replaces broken UTF-8 silently, both of which let two readers of one token
// see two different tokens (RFC 8725 §2.4), and because it costs more than an
// RSA signature inside the wasm module.
//
// A document is parsed once, whole, into a flat list of nodes that point into
// the source:
//
//	{"a":[1,2]}     node 0  object          end 5
//	                node 1  key    "a"
//	                node 2  array           end 5
//	                node 3  number 1
//	                node 4  number 2
//
// Nothing is copied until a string with escapes is read. Bounds on depth and
// number of nodes are checked before any recursion, so that no input makes the
// module trap.
//
// It must never fold the case of a key, accept a duplicate, or repair anything.
package jsonx
