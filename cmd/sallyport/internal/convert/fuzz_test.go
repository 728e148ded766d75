package convert

import (
	"bytes"
	"os"
	"testing"
)

// FuzzConvert: no input crashes it; what it writes can be loaded, and says the same when
// it is converted again; without a file there is a reason.
func FuzzConvert(f *testing.F) {
	for _, name := range examples(f) {
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(src))
	}
	f.Add("_format_version: '3.0'\nservices: [&a {<<: *a, name: s, host: h, routes: [{paths: ['~/(?=x)'], plugins: [{name: jwt}]}]}]\nplugins: [{name: x}]")
	f.Add(ingress("konghq.com/plugins: tokens", "/p", "Exact") + plugin)
	f.Add("curl -d 'a[1].b=c&d' \"$A/services\" ; http :8001/routes x:='{}' | jq")
	f.Fuzz(func(t *testing.T, src string) {
		if len(src) > 1<<15 {
			return
		}
		r := from(src)
		if r.File == nil {
			for _, n := range r.Notes {
				if n.Kind == Refused {
					return
				}
			}
			t.Fatalf("no file, and no reason: %s", r.said())
		}
		d := newDraft(options)
		docs, err := decode(r.File)
		if err != nil || len(docs) != 1 {
			t.Fatalf("%d documents, %v\n%s", len(docs), err, r.File)
		}
		d.root = docs[0]
		if _, errs := d.check(r.File); len(errs) > 0 {
			t.Fatalf("%v\n%s", errs, r.File)
		}
		if again := from(string(r.File)); !bytes.Equal(again.File, r.File) {
			t.Fatalf("first\n%s\nthen\n%s\n%s", r.File, again.File, again.said())
		}
	})
}
