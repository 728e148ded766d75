package abi

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"sync"
	"time"
)

// Certificates of a server and of a client, each issued by one authority.
type pki struct {
	ca                     *x509.CertPool
	server, client         tls.Certificate
	caPEM, certPEM, keyPEM []byte // the server's, for Envoy
	clientPEM              []byte
}

var certificates = sync.OnceValue(func() pki {
	must := func(err error) {
		if err != nil {
			panic(err) // of what is made here
		}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	must(err)
	out := pki{ca: x509.NewCertPool(), caPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})}
	out.ca.AppendCertsFromPEM(out.caPEM)
	issue := func(serial int64, name string) (tls.Certificate, []byte, []byte) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(err)
		c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name, Organization: []string{"Example, Inc."}},
			NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, DNSNames: []string{name},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
		der, err := x509.CreateCertificate(rand.Reader, c, ca, key.Public(), caKey)
		must(err)
		keyDER, err := x509.MarshalPKCS8PrivateKey(key)
		must(err)
		cert, k := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
		pair, err := tls.X509KeyPair(cert, k)
		must(err)
		return pair, cert, k
	}
	out.server, out.certPEM, out.keyPEM = issue(2, "abi.example")
	out.client, out.clientPEM, _ = issue(3, "client.example")
	return out
})

func serverTLS() *tls.Config {
	p := certificates()
	return &tls.Config{Certificates: []tls.Certificate{p.server}, ClientCAs: p.ca, ClientAuth: tls.VerifyClientCertIfGiven,
		MinVersion: tls.VersionTLS12}
}

func clientTLS() *tls.Config {
	p := certificates()
	return &tls.Config{Certificates: []tls.Certificate{p.client}, RootCAs: p.ca, ServerName: "abi.example"}
}
