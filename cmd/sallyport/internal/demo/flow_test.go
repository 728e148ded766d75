package demo

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

const (
	gatewayAddress = "127.0.0.1:8123" // nobody listens there: the flow ends before
	account        = "http://" + gatewayAddress + "/account"
	verifier       = "a-code-verifier-of-the-forty-three-octets-it-needs"
)

func started(t *testing.T) *Demo {
	t.Helper()
	d, err := start(gatewayAddress, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// browser follows redirects as far as the gateway.
func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host == gatewayAddress {
			return http.ErrUseLastResponse
		}
		return nil
	}}
}

// answered is a response with its body read.
type answered struct {
	*http.Response
	text string
}

func do(t *testing.T, c *http.Client, req *http.Request) answered {
	t.Helper()
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered{res, string(text)}
}

func get(t *testing.T, c *http.Client, url string) answered {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, c, req)
}

func post(t *testing.T, c *http.Client, url string, form url.Values, edit func(*http.Request)) answered {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if edit != nil {
		edit(req)
	}
	return do(t, c, req)
}

// authorize returns the URL that a login begins with; a parameter that is set to
// nothing is left out.
func authorize(d *Demo, change url.Values) string {
	q := url.Values{
		"client_id": {"demo"}, "redirect_uri": {account}, "response_type": {"code"}, "state": {"st"}, "nonce": {"no"},
		"scope":          {"openid profile email offline_access orders:read"},
		"code_challenge": {oidc.NewSHACodeChallenge(verifier)}, "code_challenge_method": {"S256"},
	}
	for name, values := range change {
		q[name] = values
		if values[0] == "" {
			delete(q, name)
		}
	}
	return d.Issuer + "/authorize?" + q.Encode()
}

var hidden = regexp.MustCompile(`<input type="hidden" name="id" value="([^"]+)">`)

// fillIn sends the form of a login page.
func fillIn(t *testing.T, c *http.Client, d *Demo, page answered, username, password string) answered {
	t.Helper()
	id := hidden.FindStringSubmatch(page.text)
	if id == nil {
		t.Fatalf("no login form: %s %s", page.Status, page.text)
	}
	return post(t, c, d.Issuer+"/login", url.Values{"id": {id[1]}, "username": {username}, "password": {password}}, nil)
}

// code signs a user in and returns the code that the gateway would get.
func code(t *testing.T, d *Demo, username string) string {
	t.Helper()
	c := browser(t)
	res := fillIn(t, c, d, get(t, c, authorize(d, nil)), username, username)
	to, err := res.Location()
	if err != nil {
		t.Fatalf("%s %s", res.Status, res.text)
	}
	if got := "http://" + to.Host + to.Path; got != account || to.Query().Get("state") != "st" {
		t.Fatalf("went back to %s", to)
	}
	return to.Query().Get("code")
}

// tokens is an answer of the token endpoint.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
	Expires int    `json:"expires_in"`
	Scope   string `json:"scope"`
	Error   string `json:"error"`
}

// ask sends a request to the token endpoint with the client's password.
func ask(t *testing.T, d *Demo, form url.Values) (int, tokens) {
	t.Helper()
	res := post(t, http.DefaultClient, d.Issuer+"/oauth/token", form, func(r *http.Request) {
		r.SetBasicAuth("demo", d.provider.client.secret)
	})
	var got tokens
	if err := json.Unmarshal([]byte(res.text), &got); err != nil {
		t.Fatalf("%s: %v", res.text, err)
	}
	return res.StatusCode, got
}

func exchange(t *testing.T, d *Demo, code string) tokens {
	t.Helper()
	status, got := ask(t, d, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {account}, "code_verifier": {verifier}})
	if status != http.StatusOK {
		t.Fatalf("%d %+v", status, got)
	}
	return got
}

func refresh(t *testing.T, d *Demo, token string) (int, tokens) {
	t.Helper()
	return ask(t, d, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

// verified returns the claims of a token that the provider's key has signed.
func verified(t *testing.T, d *Demo, compact string) jwt.MapClaims {
	t.Helper()
	var claims jwt.MapClaims
	_, err := jwt.ParseWithClaims(compact, &claims, func(token *jwt.Token) (any, error) {
		if token.Header["kid"] != keyID {
			t.Errorf("kid %v", token.Header["kid"])
		}
		return &d.provider.storage.key.PublicKey, nil
	}, jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(d.Issuer), jwt.WithExpirationRequired())
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

func userinfo(t *testing.T, d *Demo, access string) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, d.Issuer+"/userinfo", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+access)
	res := do(t, http.DefaultClient, req)
	var info map[string]any
	_ = json.Unmarshal([]byte(res.text), &info) // an error has no JSON
	return res.StatusCode, info
}
