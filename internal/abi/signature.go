package abi

// VerifySignatureFunction is the name under which Envoy exports the check of a
// signature to guests. Its argument and result are protobuf messages:
//
//	message VerifySignatureArguments {
//	  string hash_function = 1;  // sha1 sha224 sha256 sha384 sha512
//	  bytes public_key = 2;      // DER SubjectPublicKeyInfo
//	  bytes signature = 3;       // PKCS #1 v1.5, or DER ECDSA-Sig-Value
//	  bytes text = 4;
//	  string public_key_pem = 5; // newer Envoys only; exactly one of 2 and 5
//	}
//	message VerifySignatureResult { bool result = 1; string error = 2; }
//
// Source: envoyproxy/envoy source/extensions/common/wasm/{ext,foreign}.cc. The
// call's status is OK also when the signature is wrong: result decides.
const VerifySignatureFunction = "verify_signature"

// VerifySignature is the argument.
type VerifySignature struct {
	Hash         string
	PublicKey    string
	PublicKeyPEM string
	Signature    string
	Text         string
}

// Append appends the message. Signature and Text come last, so that hash and
// key can be encoded once for each key.
func (v VerifySignature) Append(dst []byte) []byte {
	dst = appendField(dst, 1, v.Hash)
	dst = appendField(dst, 2, v.PublicKey)
	dst = appendField(dst, 5, v.PublicKeyPEM)
	dst = appendField(dst, 3, v.Signature)
	return appendField(dst, 4, v.Text)
}

// DecodeVerifySignature reads the message as a protobuf parser does: fields in
// any order, the last of several wins, unknown ones are stepped over.
func DecodeVerifySignature(src string) (v VerifySignature, ok bool) {
	ok = fields(src, func(field uint64, _ uint64, s string) {
		switch field {
		case 1:
			v.Hash = s
		case 2:
			v.PublicKey = s
		case 3:
			v.Signature = s
		case 4:
			v.Text = s
		case 5:
			v.PublicKeyPEM = s
		}
	})
	return v, ok
}

// AppendVerifyResult appends the result message.
func AppendVerifyResult(dst []byte, result bool, text string) []byte {
	if result {
		dst = append(dst, 1<<3, 1)
	}
	return appendField(dst, 2, text)
}

// DecodeVerifyResult reads the result message; false when it cannot be read.
func DecodeVerifyResult(src string) (result bool) {
	ok := fields(src, func(field, varint uint64, _ string) {
		if field == 1 {
			result = varint == 1
		}
	})
	return ok && result
}

// Field returns the last length-delimited field with a number of a message; ok is
// false when there is none, or src is no message.
func Field(src string, number uint64) (value string, ok bool) {
	whole := fields(src, func(field, _ uint64, s string) {
		if field == number {
			value, ok = s, true
		}
	})
	return value, ok && whole
}

// Fields walks a message: of a length-delimited field it yields the bytes, of a varint
// its value. It reports whether src is a message.
func Fields(src string, yield func(field, varint uint64, bytes string)) bool {
	return fields(src, yield)
}

// AppendField appends a length-delimited field, or nothing for an empty value.
func AppendField(dst []byte, number byte, value string) []byte {
	return appendField(dst, number, value)
}

// appendField appends a length-delimited field, or nothing for an empty one.
func appendField(dst []byte, field byte, s string) []byte {
	if s == "" {
		return dst
	}
	dst = append(dst, field<<3|2)
	n := len(s)
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	dst = append(dst, byte(n))
	return append(dst, s...)
}

// fields walks a message and reports whether it is one.
func fields(src string, yield func(field, varint uint64, s string)) bool {
	for src != "" {
		tag, rest, ok := varint(src)
		if !ok || tag>>3 == 0 {
			return false
		}
		src = rest
		switch tag & 7 {
		case 0:
			v, rest, ok := varint(src)
			if !ok {
				return false
			}
			src = rest
			yield(tag>>3, v, "")
		case 1, 5:
			size := 8
			if tag&7 == 5 {
				size = 4
			}
			if len(src) < size {
				return false
			}
			src = src[size:]
		case 2:
			n, rest, ok := varint(src)
			if !ok || n > uint64(len(rest)) {
				return false
			}
			yield(tag>>3, 0, rest[:n])
			src = rest[n:]
		default:
			return false
		}
	}
	return true
}

func varint(src string) (v uint64, rest string, ok bool) {
	for i := 0; i < len(src) && i < 10; i++ {
		b := src[i]
		if i == 9 && b > 1 {
			return 0, "", false
		}
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			return v, src[i+1:], true
		}
	}
	return 0, "", false
}
