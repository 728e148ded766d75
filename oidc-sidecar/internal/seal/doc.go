// Package seal makes what the sidecar leaves with a browser unreadable and
// unchangeable, and fits it into cookies (D8):
//
//	plain ─ Pack ─► bytes ─ Ring.Seal ─► text ─ Split ─► name, name_2, name_3 …
//	plain ◄ Unpack ─ bytes ◄ Ring.Open ─ text ◄ Join ─── cookies of a request
//
// A sealed text is canonical base64url (RFC 4648 §5, no padding) of
//
//	version 1 │ key id 4 │ nonce 24 │ XChaCha20-Poly1305 ciphertext and tag 16
//
// The keys come from the ring's secrets by HKDF-SHA256 (RFC 5869), one per secret
// and purpose. The key id says which secret to try; it is derived like a key, and
// authenticated. The associated data is
//
//	version │ key id │ len purpose │ purpose │ number of aad │ (len aad │ aad) …
//
// with numbers of 8 bytes, so that no two calls share it that differ in anything.
// Nonces are random; 24 bytes are long enough for that without a count.
//
// A text that does not fit into one cookie is cut into up to MaxChunks, of which
// the first begins with their number and a dot. A browser may keep some of them
// and lose others, so Join takes all or nothing.
//
// It must never say why a text was refused, never open what it has not sealed
// for the same purpose and aad, and never believe a client about a size. The
// length of a text tells the length of what is in it: what an attacker chooses
// must not be packed together with a secret that he is after (CRIME, BREACH).
package seal
