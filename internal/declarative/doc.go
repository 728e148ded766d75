// Package declarative reads the declarative file: Kong's dialect as decK and
// DB-less Kong write it, with one block of our own, _sallyport.
//
//	bytes ─► node.go      YAML with lines, aliases and merges bounded
//	      ─► parse.go     the top level; entities in their own files
//	      ─► resolve.go   names to entities, uniqueness, what Kong answers 500 to
//	      ─► lint.go      what can be loaded and is unsafe; rules.go names all findings
//	      ─► *File
//
// Every problem is reported at once, with file, line, path and what was
// expected. A field that is not in a table of this package is an error, and so is
// one that is in a table as refused: nothing is silently ignored.
//
// It is never linked into the wasm module and does no I/O but for what Options
// hands it to resolve {vault://…} references.
package declarative
