package declarative

import (
	"strings"
	"testing"
)

// TestUnfilled: a variable that decK or a shell would have filled in is no secret, and no
// address.
func TestUnfilled(t *testing.T) {
	for _, variable := range []string{`${{ env "DECK_PARTNER_JWT_SECRET" }}`, `${{env "DECK_SECRET"}}`, `https://${{ env "DECK_HOST" }}/x`, "${JWT_SECRET}"} {
		got := refused(t, "consumers: [{username: a, jwt_secrets: [{key: k, secret: '"+variable+"'}]}]\n", Options{}).Error()
		want := "consumers[0].jwt_secrets[0].secret: is a variable that decK or a shell would have filled in, and is not text: write {vault://env/NAME}"
		if !strings.HasSuffix(got, want) {
			t.Errorf("%s: %s", variable, got)
		}
	}
	for _, text := range []string{"$JWT_SECRET", "a${b}", "${", "$2y$10$" + strings.Repeat("a", 53)} {
		if f, problems := Parse("k", []byte("_format_version: '3.0'\nconsumers: [{username: a, jwt_secrets: [{key: k, secret: '"+text+"'}]}]\n"), Options{}); f == nil {
			t.Errorf("%s: %v", text, problems)
		}
	}
}
