package adminapi

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// words are n texts, as JSON.
func words(n int, prefix string) string {
	list := make([]string, n)
	for i := range list {
		list[i] = `"` + prefix + strconv.Itoa(i) + `"`
	}
	return "[" + strings.Join(list, ",") + "]"
}

// TestGrownDocuments: what comes together of several writes is refused where it could not
// be read any more. Nobody could list the plugins then.
func TestGrownDocuments(t *testing.T) {
	w := newWorld(t)
	config := `"issuer":"https://i.example","client_id":["a"],"client_secret":["the-secret"],"scopes_required":` + words(9000, "s")
	w.send("POST", "/services", `{"name":"grown","host":"h"}`).want(http.StatusCreated)
	made := w.send("POST", "/services/grown/plugins", `{"name":"openid-connect","config":{`+config+`}}`).want(http.StatusCreated)
	id := dig(made, "id").(string)
	w.send("PATCH", "/plugins/"+id, `{"config":{"audience_required":`+words(9000, "a")+`}}`).refused(http.StatusBadRequest, "would have more in it")
	w.send("GET", "/plugins", "").want(http.StatusOK)
	same(t, "the audience", dig(w.send("GET", "/plugins/"+id, "").want(http.StatusOK), "config", "audience_required"), nil)
}
