package demo

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

func TestURLOf(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"127.0.0.1:8000":  "http://127.0.0.1:8000",
		"localhost:8000":  "http://localhost:8000",
		"192.0.2.1:80":    "http://192.0.2.1:80",
		":8000":           "http://127.0.0.1:8000",
		"0.0.0.0:8000":    "http://127.0.0.1:8000",
		"[::]:8000":       "http://127.0.0.1:8000",
		"[::1]:8000":      "http://[::1]:8000",
		"without-a-port.": "http://without-a-port.",
	} {
		if got := urlOf(address); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}

// declared is what the test reads of the file.
type declared struct {
	Services []struct {
		URL    string `yaml:"url"`
		Routes []struct {
			Name    string
			Paths   []string
			Plugins []struct {
				Name   string
				Config map[string]any
			}
		}
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	for _, login := range []bool{false, true} {
		d, err := start(gatewayAddress, login)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(d.File)
		if err != nil {
			t.Fatal(err)
		}
		var file declared
		if err := yaml.Unmarshal(text, &file); err != nil {
			t.Fatal(err)
		}
		if len(file.Services) != 1 {
			t.Fatalf("%s", text)
		}
		var account map[string]any
		for _, r := range file.Services[0].Routes {
			if r.Name == "account" {
				account = r.Plugins[0].Config
			}
		}
		var want map[string]any
		if login {
			want = map[string]any{
				"issuer": d.Issuer, "client_id": []any{"demo"}, "client_secret": []any{d.provider.client.secret},
				"auth_methods":     []any{"authorization_code", "session"},
				"scopes":           []any{"openid", "profile", "email", "offline_access", "orders:read"},
				"logout_query_arg": "logout", "logout_methods": []any{"GET", "POST"},
				"logout_redirect_uri":     []any{"http://127.0.0.1:8123/"},
				"upstream_headers_claims": []any{"name", "email"},
				"upstream_headers_names":  []any{"X-Demo-Name", "X-Demo-Email"}, "upstream_id_token_header": "X-Id-Token",
			}
		}
		if !reflect.DeepEqual(account, want) {
			t.Errorf("login %v: the route account has %v, want %v", login, account, want)
		}
		dir := d.Dir
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", dir, err)
		}
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	d := started(t)
	text := d.Text("http://127.0.0.1:8001", "", "")
	for _, want := range []string{"Open http://127.0.0.1:8123/ in a browser.", d.File, d.Issuer + "/token/alice", "admin API is at http://127.0.0.1:8001"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	if strings.Contains(d.Text("", "", ""), "admin") {
		t.Error("an admin API that is not there")
	}
}
