package convert

import "testing"

// TestOverriddenGuards: requests of a route that is left out, and that a plugin of the
// whole file guarded, must not reach a route which has another of its kind.
func TestOverriddenGuards(t *testing.T) {
	r := from(`
_format_version: "3.0"
services:
- name: s
  url: http://a.test
  routes:
  - {name: admin, paths: [/admin], sources: [{ip: 10.0.0.0/8}]}
  - name: rest
    paths: [/]
    plugins: [{name: jwt, config: {anonymous: guest}}]
consumers: [{username: guest}]
plugins: [{name: jwt}]
`)
	if r.File != nil {
		t.Errorf("requests for /admin pass as guest:\n%s\n%s", r.said(), r.File)
	}
}

// TestWhatIsNoCall: what a script writes out, or keeps from running, is not run.
func TestWhatIsNoCall(t *testing.T) {
	const guarded = `curl localhost:8001/services -d name=s -d url=http://s.test
curl localhost:8001/services/s/routes -d name=r -d paths[]=/r
curl localhost:8001/routes/r/plugins -d name=jwt -d id=6f1a9f3e-5a0a-4a0e-9d55-0d6a3c5a7b11
`
	for name, more := range map[string]string{
		"a comment":          ": <<'END'\ncurl -X DELETE localhost:8001/plugins/6f1a9f3e-5a0a-4a0e-9d55-0d6a3c5a7b11\nEND\n",
		"a text":             "cat <<END\ncurl -X DELETE localhost:8001/plugins/6f1a9f3e-5a0a-4a0e-9d55-0d6a3c5a7b11\nEND\n",
		"what is written":    "echo curl -X DELETE localhost:8001/plugins/6f1a9f3e-5a0a-4a0e-9d55-0d6a3c5a7b11\n",
		"should it go wrong": "curl localhost:8001/routes/r || curl -X DELETE localhost:8001/plugins/6f1a9f3e-5a0a-4a0e-9d55-0d6a3c5a7b11\n",
		"a condition":        "[ -n \"$OPEN\" ] && curl -X DELETE localhost:8001/plugins/6f1a9f3e-5a0a-4a0e-9d55-0d6a3c5a7b11\n",
	} {
		if r := from(guarded + more); r.File != nil && len(open(t, r)) > 0 {
			t.Errorf("%s: open: %q\n%s", name, open(t, r), r.said())
		}
	}
}
