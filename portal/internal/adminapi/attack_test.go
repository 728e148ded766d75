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

// TestClientIDsOfTheFile: nobody of the file is found by an application's client id.
func TestClientIDsOfTheFile(t *testing.T) {
	w := newWorld(t)
	w.send("POST", "/developers", `{"email":"d@example.com","status":0}`).want(http.StatusCreated)
	for _, id := range []string{"a-1", "alice", "ALICE", aliceID} {
		w.send("POST", "/developers/d@example.com/applications", `{"name":"n","custom_id":"`+id+`"}`).refused(http.StatusConflict, "custom_id")
	}
	made := w.send("POST", "/developers/d@example.com/applications", `{"name":"n","custom_id":"c"}`).want(http.StatusCreated)
	w.send("PATCH", "/applications/"+dig(made, "id").(string), `{"custom_id":"alice"}`).refused(http.StatusConflict, "custom_id")
}
