package convert

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// credentials are the kinds of Secrets that a KongConsumer may name, and where they go.
var credentials = map[string]struct {
	collection string
	fields     []string
}{
	"jwt":        {"jwt_secrets", []string{"key", "algorithm", "secret", "rsa_public_key"}},
	"acl":        {"acls", []string{"group"}},
	"key-auth":   {"keyauth_credentials", []string{"key", "ttl"}},
	"basic-auth": {"basicauth_credentials", []string{"username", "password"}},
	"hmac-auth":  {"hmacauth_credentials", []string{"username", "secret"}},
	"oauth2":     {"oauth2_credentials", []string{"name", "client_id", "client_secret"}},
	"mtls-auth":  {"mtls_auth_credentials", []string{"subject_name"}},
}

// credentialLabel says what kind of credential a Secret is; before controller 3.0 it was
// one of its values.
const credentialLabel = "konghq.com/credential"

// consumer makes a consumer of a KongConsumer, with what its Secrets hold. If one is
// not there nobody can say whether it is a group that something denies, so that the
// consumer is left out.
func (c *cluster) consumer(o *object) {
	e := c.d.at(mapping(), o.node)
	for _, f := range []string{"username", "custom_id"} {
		if v := get(o.node, f); scalar(v) != "" {
			set(e, f, c.d.at(text(scalar(v)), v))
		}
	}
	for _, n := range elements(get(o.node, "credentials")) {
		secret := c.find("Secret", o.namespace, scalar(n))
		if secret == nil {
			c.d.note(LeftOut, n, o.label(), "the Secret %q is not among the inputs", scalar(n))
			return
		}
		secret.used++
		kind := scalar(dig(secret.node, "metadata", "labels", credentialLabel))
		if kind == "" {
			kind = c.value(secret, "kongCredType")
		}
		known, ok := credentials[strings.ToLower(kind)]
		if !ok {
			c.d.note(LeftOut, secret.node, o.label(), "its %s has no label %s that says which kind of credential it is", secret.label(), credentialLabel)
			return
		}
		made := c.d.at(mapping(), secret.node)
		for _, f := range known.fields {
			if v := c.value(secret, f); v != "" {
				set(made, f, c.d.at(c.field(f, v), secret.node))
			}
		}
		push(e, known.collection, made)
	}
	if groups := get(o.node, "consumerGroups"); len(elements(groups)) > 0 {
		c.d.note(LeftOut, groups, "consumerGroups of "+o.label(), "consumer groups are a Kong Enterprise entity")
	}
	c.noGuards(o)
	push(c.d.root, "consumers", e)
}

func (c *cluster) field(name, value string) *yaml.Node {
	if name == "ttl" {
		return integer(value)
	}
	return text(value)
}
