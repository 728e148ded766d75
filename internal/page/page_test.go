package page

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestStyleHash(t *testing.T) {
	sum := sha256.Sum256([]byte(style))
	if want := "sha256-" + base64.StdEncoding.EncodeToString(sum[:]); styleHash != want {
		t.Errorf("styleHash is %s, want %s", styleHash, want)
	}
}

// tags returns the elements and the text of a document.
func tags(t testing.TB, html string) (names []string, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(html, "<!doctype html>")))
	d.Strict, d.AutoClose, d.Entity = false, []string{"meta"}, xml.HTMLEntity
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return names, text
		}
		if err != nil {
			t.Fatalf("%v in %s", err, html)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			names = append(names, tok.Name.Local)
			for _, a := range tok.Attr {
				if strings.HasPrefix(a.Name.Local, "on") {
					t.Fatalf("<%s> has %s", tok.Name.Local, a.Name.Local)
				}
			}
		case xml.CharData:
			text += string(tok)
		}
	}
}

func FuzzHTML(f *testing.F) {
	f.Add("<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`)
	f.Add("a & b", "javascript:alert(1)")
	f.Add("\x00\xff' onclick='x", "https://example.com/?a=1&b=2")
	f.Fuzz(func(t *testing.T, text, link string) {
		plain, _ := tags(t, Page{Title: "T", Text: "x", Detail: "x", Reason: "r", RequestID: "i", Link: "l", LinkText: "x"}.HTML())
		full := Page{Title: "T" + text, Text: "x" + text, Detail: "x" + text, Reason: "r" + text, RequestID: "i" + text, Link: "l" + link, LinkText: "x" + text}
		if got, _ := tags(t, full.HTML()); strings.Join(got, " ") != strings.Join(plain, " ") {
			t.Errorf("elements %q, want %q", got, plain)
		}
	})
}

func TestSays(t *testing.T) {
	names, text := tags(t, Page{Title: "No <entry>", Text: "Because & because.", Reason: "scope_missing", RequestID: "id-1", Link: "/a?b=1&c", LinkText: "Sign in"}.HTML())
	for _, want := range []string{"No <entry>", "Because & because.", "scope_missing", "id-1", "Sign in"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
	if !strings.Contains(strings.Join(names, " "), "main h1 p a") {
		t.Errorf("elements %q", names)
	}
}
