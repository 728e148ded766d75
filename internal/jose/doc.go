// Package jose reads compact JWS (RFC 7515 §3.1, RFC 7519) strictly and without
// cryptography.
//
// Parse gives a token whose every part has been read exactly one way: canonical
// base64url, JSON without duplicate members, an algorithm from a closed list,
// no header that changes what is signed or where the key comes from. Whether
// the signature holds is for whoever has the key: the proxy's verify_signature
// for RS* and ES*, the sidecar for everything else.
//
// The algorithm of a token is a claim by its sender. The package reports it; it
// is compared with what key and configuration allow, never followed.
//
// It is linked into the wasm module and must never import crypto, time, fmt or
// encoding/json.
package jose
