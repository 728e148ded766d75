package declarative

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// certificate makes a certificate for a test key, signed by itself, and returns
// it and the key in PEM.
func certificate(t testing.TB, key string, ca bool) (cert, private string) {
	t.Helper()
	signer := tokens.Private(key).(*ecdsa.PrivateKey)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{"a.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, IsCA: ca,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", pkcs8)
}

func TestCertificates(t *testing.T) {
	a, aKey := certificate(t, "ec256", false)
	b, bKey := certificate(t, "ec384", true)
	id := "0b8a4c56-0f5d-4b0c-8f6a-3f6f1c8b9d10"
	f := read(t, fmt.Sprintf(`
_format_version: "3.0"
certificates:
- {cert: %q, key: %q, snis: [a.example, A.Example, {name: "*.b.example"}]}
- {id: %s, cert: %q, key: %q}
snis:
- {name: C.example, certificate: %s}
- {name: d.example, certificate: {id: %s}}
ca_certificates: [{id: %s, cert: %q}]
services: [{name: s, url: "https://h", ca_certificates: [%s]}]
_sallyport: {listeners: [{address: ":1", tls: true}]}
`, a, aKey, id, b, bKey, id, id, id, b, id))
	if got := strings.Join(f.Certificates[0].SNIs, " "); got != "a.example *.b.example" {
		t.Errorf("names of the first: %s", got)
	}
	if got := strings.Join(f.Certificates[1].SNIs, " "); got != "c.example d.example" {
		t.Errorf("names of the second: %s", got)
	}
	if cas := f.Services[0].CAs; len(cas) != 1 || cas[0].Cert != b {
		t.Errorf("authorities: %+v", cas)
	}

	cert := func(s string) string {
		return fmt.Sprintf("certificates:\n- {cert: %q, key: %q, %s}", a, aKey, s)
	}
	checkRefusals(t, []refusal{
		{fmt.Sprintf("certificates:\n- {cert: %q, key: %q}", a, bKey), "3: certificates[0]: certificate and key do not go together: tls: private key does not match public key"},
		{fmt.Sprintf("certificates:\n- {cert: %q}", a), "3: certificates[0]: certificate and key do not go together: tls: failed to find any PEM data in key input"},
		{"certificates:\n- {cert: '', key: k}", "3: certificates[0].cert: is empty"},
		{cert("cert_alt: x"), "3: certificates[0].cert_alt: is not supported: put the certificate of another kind under a name of its own"},
		{cert("snis: ['*']"), `3: certificates[0].snis[0]: is "*": expected the wildcard as the leftmost or rightmost label`},
		{cert("snis: [{}]"), "3: certificates[0].snis[0]: has no name"},
		{cert("snis: [a.example]") + fmt.Sprintf("\n- {cert: %q, key: %q, snis: [A.example]}", b, bKey), `4: certificates[1]: "a.example" is taken by another of the snis`},
		{"snis:\n- {name: a.example}", "3: snis[0]: has no certificate"},
		{"snis:\n- {name: a.example, certificate: none}", `3: snis[0].certificate: refers to "none", which is not among the certificates`},
		{"ca_certificates:\n- {cert: x}", "3: ca_certificates[0]: cert is no PEM certificate"},
		{fmt.Sprintf("ca_certificates:\n- {id: %s, cert: %q}", id, a), "3: ca_certificates[0]: cert is no certificate of an authority"},
		{fmt.Sprintf("ca_certificates:\n- {cert: %q}", b), "3: ca_certificates[0]: has no id: services refer to it by one"},
	})
}

// Neither a key nor a secret shows in what a broken file is told.
func TestProblemsHoldNoSecrets(t *testing.T) {
	cert, key := certificate(t, "ec256", false)
	_, other := certificate(t, "ec384", false)
	for _, tt := range []struct{ src, secret string }{
		{fmt.Sprintf("certificates: [{cert: %q, key: %q}]", cert, other), "MIG"},
		{"consumers: [{username: u, jwt_secrets: [{key: k, algorithm: RS256, secret: hunter2}]}]", "hunter2"},
		{"consumers: [{username: u, jwt_secrets: [{key: k, secret: hunter2, jwks_uri: 'https://i'}]}]", "hunter2"},
		{"consumers: [{username: u, jwt_secrets: [{key: k, secret: hunter2}, {key: k, secret: hunter2}]}]", "hunter2"},
		{fmt.Sprintf("consumers: [{username: u, jwt_secrets: [{key: k, algorithm: RS256, rsa_public_key: %q}]}]", key), "MIG"},
		{"_sallyport: {installation_secret: hunter2}", "hunter2"},
		{"_sallyport: {registry: 'postgres://u:hunter2@db/r', registri: 'x'}", "hunter2"},
	} {
		if got := refused(t, "_format_version: '3.0'\n"+tt.src, Options{}).Error(); strings.Contains(got, tt.secret) {
			t.Errorf("the secret is in\n%s", got)
		}
	}
}
