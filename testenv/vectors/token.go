package vectors

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// recipe is how a token is made. Strings like "+3600" in times and "{issuer}"
// anywhere are filled in.
type recipe struct {
	// Key is a test key's name, a secret for HMAC, or pem:NAME for the public key
	// of that name as a secret.
	Key string `json:"key"`
	// Header has alg, typ and kid; a member null is left out. The default is
	// {"alg": "HS256", "typ": "JWT"}.
	Header map[string]any `json:"header"`
	Claims map[string]any `json:"claims"`
	// RawHeader and RawClaims are the JSON texts themselves.
	RawHeader string `json:"raw_header"`
	RawClaims string `json:"raw_claims"`
	// SignAs is the algorithm to sign with, where it is not the header's.
	SignAs string `json:"sign_as"`
	// Signature replaces the signature: base64url text.
	Signature *string `json:"signature"`
	// Mangle changes the finished token, see mangle.
	Mangle string `json:"mangle"`
	// Literal is the token itself.
	Literal string `json:"literal"`
}

// Provider adds the keys to an identity provider that recipes sign with, and clients,
// people and tokens that it is asked about.
func Provider(s *idp.Server) {
	for _, id := range []string{"gateway", "machine", "stranger", "app-one"} {
		s.AddClient(idp.Client{ID: id, Secret: id + "-secret"})
	}
	s.AddUser(idp.User{Name: "ada", Password: "ada's: pässword", Subject: "ada-1"})
	s.Know("opaque-read", "machine", "read", map[string]any{"aud": "api", "groups": []string{"gold"}})
	s.Know("opaque-app", "app-one", "read", map[string]any{"aud": "api"})
	s.Know("opaque-write", "stranger", "write", map[string]any{"aud": "other"})
	s.Know("opaque-admin", "machine", "read", map[string]any{"aud": "api", "admin": true})
	s.Know("opaque-refresh", "machine", "read", map[string]any{"token_type": "refresh_token", "token_use": "refresh_token"})
	s.Know("opaque-future", "machine", "read", map[string]any{"nbf": 4102444800})
	s.Add("ps", "PS256", "rsa4096")
	s.Add("es", "ES256", "ec256")
	s.Add("es384", "ES384", "ec384")
	s.Add("ed", "EdDSA", "ed25519")
	s.AddJWK(tokens.JWK("rsa1024", "small", map[string]any{"alg": "RS256"}))
	s.AddJWK(tokens.JWK("rsa2048b", "any", nil))
	s.AddJWK(tokens.JWK("rsa2048", "encryption", map[string]any{"use": "enc", "alg": "RSA-OAEP"}))
}

func makeToken(text string, e Env) (string, error) {
	var r recipe
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return "", err
	}
	if r.Literal != "" {
		return r.Literal, nil
	}
	header := map[string]any{"alg": "HS256", "typ": "JWT"}
	maps.Copy(header, r.Header)
	maps.DeleteFunc(header, func(_ string, v any) bool { return v == nil })
	alg, _ := header["alg"].(string)
	if r.SignAs != "" {
		alg = r.SignAs
	}
	h, err := part(header, r.RawHeader, e)
	if err != nil {
		return "", err
	}
	c, err := part(r.Claims, r.RawClaims, e)
	if err != nil {
		return "", err
	}
	input := encode(h) + "." + encode(c)
	var sig string
	switch name, isPEM := strings.CutPrefix(r.Key, "pem:"); {
	case r.Signature != nil:
		sig = *r.Signature
	case isPEM:
		sig = encode(tokens.SignBytes(alg, []byte(tokens.PublicPEM(name)), input))
	default:
		sig = encode(tokens.SignBytes(alg, tokens.Key(alg, r.Key), input))
	}
	return mangle(r.Mangle, input+"."+sig)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// part returns the JSON text of a header or of claims. Members are sorted, as
// encoding/json does.
func part(members map[string]any, raw string, e Env) ([]byte, error) {
	if raw != "" {
		return []byte(fillTimes(strings.ReplaceAll(raw, "{issuer}", e.Issuer))), nil
	}
	if members == nil {
		members = map[string]any{}
	}
	filled := make(map[string]any, len(members))
	for name, v := range members {
		if s, ok := v.(string); ok {
			v = strings.ReplaceAll(s, "{issuer}", e.Issuer)
			if slices.Contains([]string{"exp", "nbf", "iat"}, name) && (s[0] == '+' || s[0] == '-') {
				n, err := strconv.Atoi(s)
				if err != nil {
					return nil, err
				}
				v = tokens.In(n)
			}
		}
		filled[name] = v
	}
	return json.Marshal(filled)
}

// fillTimes replaces <+N> by the time so many seconds from now.
func fillTimes(s string) string {
	for {
		before, rest, ok := strings.Cut(s, "<")
		if !ok {
			return s
		}
		inside, after, _ := strings.Cut(rest, ">")
		n, err := strconv.Atoi(inside)
		if err != nil {
			panic("vectors: " + inside)
		}
		s = before + strconv.FormatInt(tokens.In(n), 10) + after
	}
}

// mangle changes a finished token.
func mangle(how, token string) (string, error) {
	parts := strings.Split(token, ".")
	sig, err := base64.RawURLEncoding.DecodeString(parts[len(parts)-1])
	if err != nil && how != "" {
		return "", err
	}
	with := func(sig []byte) string { return parts[0] + "." + parts[1] + "." + encode(sig) }
	switch how {
	case "":
		return token, nil
	case "flip signature": // one bit in the middle
		sig[len(sig)/2] ^= 1
		return with(sig), nil
	case "flip last bit":
		sig[len(sig)-1] ^= 1
		return with(sig), nil
	case "cut signature":
		return with(sig[:len(sig)-1]), nil
	case "long signature":
		return with(append(sig, 0)), nil
	case "zero r":
		return with(append(make([]byte, len(sig)/2), sig[len(sig)/2:]...)), nil
	case "zero s":
		return with(append(sig[:len(sig)/2], make([]byte, len(sig)/2)...)), nil
	case "zero both":
		return with(make([]byte, len(sig))), nil
	case "double r": // r and s of more than the curve's size
		return with(append(append(make([]byte, 2), sig...), 0, 0)), nil
	case "no signature":
		return parts[0] + "." + parts[1] + ".", nil
	case "no dot":
		return parts[0] + "." + parts[1], nil
	case "fourth part":
		return token + ".e30", nil
	case "padding":
		return token + "=", nil
	case "dot":
		return token + ".", nil
	case "space inside":
		return parts[0] + ". " + parts[1] + "." + parts[2], nil
	case "spare bits": // another text for the same signature
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		last := strings.IndexByte(alphabet, token[len(token)-1])
		return token[:len(token)-1] + string(alphabet[last|1]), nil
	case "other payload": // of another user, under the same signature
		return parts[0] + "." + encode([]byte(`{"iss":"alice-hs256","sub":"admin","exp":9999999999}`)) + "." + parts[2], nil
	case "standard alphabet":
		return strings.NewReplacer("-", "+", "_", "/").Replace(token), nil
	}
	return "", fmt.Errorf("no way to mangle: %s", how)
}
