package publish

import (
	"fmt"
	"testing"
)

// Workers learn of a new session secret one after the other, and a browser goes to
// and fro between them: what one instance seals the other opens, both ways, and a
// secret that is gone opens nothing with either.
func TestSessionSecretsBetweenWorkers(t *testing.T) {
	b := start(t, t.TempDir())
	file := func(secrets string) string {
		return fmt.Sprintf(`services: [{name: s, url: "http://127.0.0.1:1", routes: [{name: r, paths: [/r], plugins: [{name: openid-connect,
    config: {issuer: "http://127.0.0.1:1", client_id: [app], client_secret: [s], session_secret: %s}}]}]}]
`, secrets)
	}
	const first, second = "a secret of more than thirty-two bytes", "another of more than thirty-two bytes"
	realm := []string{"realm"}
	older := b.instance(b.use(file(`["`+first+`"]`)), "r").ID
	text := b.Login(older).Ring.Seal("session", realm, []byte("x"))
	newer := b.instance(b.use(file(`["`+second+`", "`+first+`"]`)), "r").ID
	if older == newer {
		t.Fatal("another secret makes no other instance")
	}
	for _, from := range []string{older, newer} {
		for _, to := range []string{older, newer} {
			sealed := b.Login(from).Ring.Seal("session", realm, []byte("x"))
			for _, text := range []string{sealed, text} {
				if _, err := b.Login(to).Ring.Open("session", realm, text); err != nil {
					t.Errorf("from %s to %s: %v", from, to, err)
				}
			}
		}
	}
	last := b.instance(b.use(file(`["`+second+`"]`)), "r").ID
	for _, id := range []string{newer, last} {
		if _, err := b.Login(id).Ring.Open("session", realm, text); err == nil {
			t.Errorf("%s opens what a secret has sealed that is gone", id)
		}
	}
	if b.Login(older) != nil {
		t.Error("an instance of two files ago is known")
	}
}
