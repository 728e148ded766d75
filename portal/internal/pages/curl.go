package pages

import (
	"net/url"
	"strings"
)

// flow is a way to get a token, with commands to paste into a shell.
type flow struct {
	Name, Text, Lines string
	Weak, Open        bool
}

// call is how an application calls a service.
type call struct {
	Key, Name string
	Issuers   []string // shown with show_issuer
	Flows     []flow
}

// callOf writes down how an application calls a service (RFC 6749 §4.1 to §4.4, RFC
// 7636). What people have typed is quoted for the shell, and nothing else goes there.
func callOf(s Service, clientID, redirectURI string) call {
	c := call{Key: s.Key, Name: s.Name}
	if !s.ShowIssuer {
		c.Flows = append(c.Flows, flow{Name: "With an access token", Open: !s.Direct, Text: "Put the token that your application has got into TOKEN.",
			Lines: lines("TOKEN='paste the access token here'", bearer(s))})
		if s.Direct {
			c.Flows = append([]flow{direct(s, clientID)}, c.Flows...)
		}
		return c
	}
	c.Issuers = s.Issuers
	issuer := "paste the issuer here"
	if len(s.Issuers) > 0 {
		issuer = s.Issuers[0]
	}
	if redirectURI == "" {
		redirectURI = "https://app.example/callback"
	}
	if s.Direct {
		c.Flows = append(c.Flows, direct(s, clientID))
	}
	c.Flows = append(c.Flows,
		flow{Name: "Client credentials", Open: !s.Direct, Text: "For programs without a person: the application signs in as itself.", Lines: lines(
			"CLIENT_SECRET='paste the client secret here'",
			endpoint("TOKEN_URL", issuer, "token_endpoint"),
			token("-u "+quote(formURL(clientID)+":")+`"$CLIENT_SECRET" -d grant_type=client_credentials`+scope(s.Scopes)),
			bearer(s))},
		flow{Name: "Authorization code with PKCE", Text: "For applications with people in front of them. The address goes into a browser; the code is in the address that it ends at.", Lines: lines(
			endpoint("AUTH_URL", issuer, "authorization_endpoint"),
			endpoint("TOKEN_URL", issuer, "token_endpoint"),
			`VERIFIER=$(openssl rand -hex 32)`,
			`CHALLENGE=$(printf %s "$VERIFIER" | openssl dgst -sha256 -binary | openssl base64 -A | tr '+/' '-_' | tr -d =)`,
			`echo "$AUTH_URL"`+quote("?"+query("response_type", "code", "client_id", clientID, "redirect_uri", redirectURI, "scope", scopes(s.Scopes))+
				"&code_challenge_method=S256&code_challenge=")+`"$CHALLENGE&state=$(openssl rand -hex 8)"`,
			"CODE='paste the code here'",
			"CLIENT_SECRET='paste the client secret here'",
			token("-u "+quote(formURL(clientID)+":")+`"$CLIENT_SECRET" -d grant_type=authorization_code -d code="$CODE" -d code_verifier="$VERIFIER" --data-urlencode `+
				quote("redirect_uri="+redirectURI)),
			bearer(s))},
		flow{Name: "Password", Weak: true, Text: "The application gets to see people's passwords (RFC 9700 §2.4). Only where nothing else can be done.", Lines: lines(
			"CLIENT_SECRET='paste the client secret here'",
			"read -r USERNAME; read -rs PASSWORD",
			endpoint("TOKEN_URL", issuer, "token_endpoint"),
			token("-u "+quote(formURL(clientID)+":")+`"$CLIENT_SECRET" -d grant_type=password --data-urlencode username="$USERNAME" --data-urlencode password="$PASSWORD"`+scope(s.Scopes)),
			bearer(s))},
		flow{Name: "Implicit", Weak: true, Text: "The token passes through the browser's address bar and history (RFC 9700 §2.1.2). Use the authorization code instead.", Lines: lines(
			endpoint("AUTH_URL", issuer, "authorization_endpoint"),
			`echo "$AUTH_URL"`+quote("?"+query("response_type", "token", "client_id", clientID, "redirect_uri", redirectURI, "scope", scopes(s.Scopes)))+
				`"&state=$(openssl rand -hex 8)&nonce=$(openssl rand -hex 8)"`,
			"TOKEN='paste access_token here, from the address that the browser ends at'",
			bearer(s))},
	)
	return c
}

// direct is the flow in which the gateway fetches the token.
func direct(s Service, clientID string) flow {
	return flow{Name: "Client credentials, sent to the service", Open: true,
		Text: "For programs without a person. The gateway gets the token from the identity provider itself.",
		Lines: lines("CLIENT_SECRET='paste the client secret here'",
			"curl -i -u "+quote(clientID+":")+`"$CLIENT_SECRET" `+quote(s.URL))}
}

func lines(list ...string) string { return strings.Join(list, "\n") }

func bearer(s Service) string { return `curl -i -H "Authorization: Bearer $TOKEN" ` + quote(s.URL) }

// endpoint reads an endpoint out of the discovery document (OpenID Connect Discovery §3).
func endpoint(name, issuer, member string) string {
	return name + "=$(curl -fsS " + quote(strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration") + pick(member)
}

// token asks the token endpoint.
func token(how string) string {
	return `TOKEN=$(curl -fsS ` + how + ` "$TOKEN_URL"` + pick("access_token")
}

// pick takes a member out of JSON with what every system has, and undoes \/.
func pick(member string) string {
	return ` | tr -d '\n' | sed -n 's/.*"` + member + `" *: *"\([^"]*\)".*/\1/p' | tr -d '\\')`
}

// quote quotes for a POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// formURL encodes a client id for HTTP Basic (RFC 6749 §2.3.1).
func formURL(s string) string { return url.QueryEscape(s) }

func scopes(required []string) string {
	return strings.Join(append([]string{"openid"}, required...), " ")
}

func scope(required []string) string {
	if len(required) == 0 {
		return ""
	}
	return " --data-urlencode " + quote("scope="+strings.Join(required, " "))
}

func query(pairs ...string) string {
	var out []string
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, pairs[i]+"="+url.QueryEscape(pairs[i+1]))
	}
	return strings.Join(out, "&")
}
