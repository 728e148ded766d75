// Package convert makes one declarative file of what others configure Kong with:
// decK and DB-less files, Kubernetes objects, and calls of the admin API.
//
//	bytes ─► load.go       YAML, aliases followed, within bounds
//	         shell.go      or a script: commands and their words
//	      ─► kong.go       collections of a declarative file
//	         kubernetes.go, ingress.go, annotations.go, plugin.go, consumer.go    objects
//	         admin.go, curl.go, httpie.go, form.go, schema.go                     calls
//	      ─► draft        one document, each value with the place it comes from
//	      ─► judge.go     the parser reads it: what it refuses is left out or closed
//	      ─► *Result      the file, and the notes on what is not as it was
//
// A guard never goes unsaid. Where one cannot be converted, its routes stay and
// refuse everything (close.go); where a route cannot be, and another would take its
// requests, nothing is converted (overlap.go). What the parser of the product does not
// accept is not written.
//
// It does no I/O and prints no secret.
package convert
