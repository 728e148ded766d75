package abi

import (
	"reflect"
	"strings"
	"testing"
)

func TestPairs(t *testing.T) {
	lists := [][]Pair{
		{},
		{{"", ""}},
		{{":path", "/"}, {"a", ""}, {"", "b"}, {"nul", "x\x00y"}},
		{{"cookie", "a=1"}, {"cookie", "b=2"}},
	}
	for _, want := range lists {
		enc := AppendPairs(nil, want)
		if len(enc) != PairsSize(want) {
			t.Errorf("%v: size %d, encoded %d", want, PairsSize(want), len(enc))
		}
		got, ok := DecodePairs([]Pair{}, string(enc))
		if !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, %v; want %v", got, ok, want)
		}
		for cut := 1; cut < len(enc); cut++ {
			if _, ok := DecodePairs(nil, string(enc[:cut])); ok && cut > 1 {
				t.Errorf("%v cut to %d bytes was read", want, cut)
			}
		}
		if _, ok := DecodePairs(nil, string(enc)+"\x00"); ok {
			t.Errorf("%v with a byte behind was read", want)
		}
	}
	if got := string(AppendPairs(nil, []Pair{{"a", "bc"}})); got != "\x01\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00a\x00bc\x00" {
		t.Errorf("encoding is %q", got)
	}
}

func TestDecodePairsHostile(t *testing.T) {
	for name, src := range map[string]string{
		"count beyond the text":   "\xff\xff\xff\xff\x00\x00\x00\x00",
		"count times eight wraps": "\x00\x00\x00\x20" + strings.Repeat("\x00", 64),
		"size beyond the text":    "\x01\x00\x00\x00\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00",
		"sizes add up to wrap":    "\x01\x00\x00\x00\xff\xff\xff\x7f\xff\xff\xff\x7f\x00\x00",
		"no zero byte":            "\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00ab\x00",
		"three bytes":             "abc",
	} {
		if got, ok := DecodePairs(nil, src); ok || got != nil {
			t.Errorf("%s: got %v, %v", name, got, ok)
		}
	}
	if got, ok := DecodePairs(nil, ""); !ok || len(got) != 0 {
		t.Error("the empty string is not the empty list")
	}
}

func TestVerifySignature(t *testing.T) {
	want := VerifySignature{Hash: "sha256", PublicKey: strings.Repeat("k", 300), Signature: "s", Text: strings.Repeat("t", 20000)}
	got, ok := DecodeVerifySignature(string(want.Append(nil)))
	if !ok || got != want {
		t.Errorf("read back %v, %v", got == want, ok)
	}
	known := VerifySignature{Hash: "sha1", PublicKey: "K", PublicKeyPEM: "P", Signature: "S", Text: "T"}.Append(nil)
	if string(known) != "\x0a\x04sha1\x12\x01K\x2a\x01P\x1a\x01S\x22\x01T" {
		t.Errorf("encoding is %q", known)
	}
	if _, ok := DecodeVerifySignature("\x0a\x05sha1"); ok {
		t.Error("a length beyond the message was read")
	}
}

func TestVerifyResult(t *testing.T) {
	for src, want := range map[string]bool{
		"":                     false,
		"\x08\x01":             true,
		"\x08\x00":             false,
		"\x08\x02":             false,
		"\x08\x01\x08\x00":     false, // the last wins
		"\x12\x03bad":          false,
		"\x08\x01\x12\x00":     true,
		"\x08\x01\x12\x05x":    false, // cut off
		"\x08":                 false,
		"\x0a\x01\x01":         false, // field 1 as a string
		"\x08\x01\x0d\x00\x00": false, // a fixed32 cut off
		"\x08\x01\x07":         false, // a wire type that does not exist
		"\x00\x01":             false, // field 0
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01": false,
	} {
		if got := DecodeVerifyResult(src); got != want {
			t.Errorf("%q: %v, want %v", src, got, want)
		}
	}
	if !DecodeVerifyResult(string(AppendVerifyResult(nil, true, ""))) || DecodeVerifyResult(string(AppendVerifyResult(nil, false, "no"))) {
		t.Error("a result does not survive")
	}
}

func FuzzDecodePairs(f *testing.F) {
	f.Add(string(AppendPairs(nil, []Pair{{":path", "/"}, {"a", ""}})))
	f.Add("\x01\x00\x00\x00\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00")
	f.Fuzz(func(t *testing.T, src string) {
		pairs, ok := DecodePairs(nil, src)
		if !ok || src == "" || src == "\x00" {
			return
		}
		if again := string(AppendPairs(nil, pairs)); again != src {
			t.Errorf("%q decodes to %v, which encodes to %q", src, pairs, again)
		}
	})
}

func FuzzDecodeVerify(f *testing.F) {
	f.Add(string(VerifySignature{Hash: "sha256", PublicKey: "k", Signature: "s", Text: "t"}.Append(nil)))
	f.Add("\x08\x01")
	f.Fuzz(func(t *testing.T, src string) {
		if v, ok := DecodeVerifySignature(src); ok {
			if again, ok := DecodeVerifySignature(string(v.Append(nil))); !ok || again != v {
				t.Errorf("%q does not survive", src)
			}
		}
		_ = DecodeVerifyResult(src)
	})
}
