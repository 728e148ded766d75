// Package passhash reads password hashes as they are written in files: argon2id in the
// form of its reference implementation ($argon2id$v=19$m=…,t=…,p=…$salt$hash) and
// bcrypt ($2a$, $2b$, $2y$). It says what they cost and computes none: the file's
// parser knows them, and only the sidecar tries passwords.
package passhash

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
)

// Kind is how a hash was made.
type Kind uint8

// The kinds.
const (
	Argon2id Kind = iota + 1
	Bcrypt
)

// Hash is a hash that was read. Memory, in KiB, to Sum are argon2id's; Cost is bcrypt's.
type Hash struct {
	Kind    Kind
	Memory  uint32
	Passes  uint32
	Threads uint8
	Salt    []byte
	Sum     []byte
	Cost    int
}

// Bounds. Whoever sends a wrong password makes us compute one: what a hash costs is
// bounded, so that none takes much more than a second.
const (
	maxLength  = 512
	maxMemory  = 256 << 10 // KiB
	maxWork    = 512 << 10 // memory times passes
	maxThreads = 16
	maxCost    = 14
)

// Errors of Parse. They never hold the hash.
var (
	ErrUnknown = errors.New("is no password hash that is known: expected $argon2id$… or $2b$…")
	ErrForm    = errors.New("is a broken password hash: expected $argon2id$v=19$m=…,t=…,p=…$salt$hash, or $2b$ with a cost and 53 characters")
	ErrCost    = errors.New("is a password hash that costs too much to try: expected at most 256 MiB of memory, 512 MiB of memory times passes and 16 threads, or a bcrypt cost of 14")
)

// Looks reports whether a text is meant as a hash and not as a password.
func Looks(s string) bool {
	for _, prefix := range []string{"$argon2", "$2a$", "$2b$", "$2y$", "$2x$", "$2$", "$1$", "$5$", "$6$", "$y$", "$7$", "$scrypt$", "$pbkdf2"} {
		if strings.HasPrefix(s, prefix) {
			return true
		}
	}
	return false
}

// Parse reads a hash.
func Parse(s string) (Hash, error) {
	switch {
	case len(s) > maxLength:
		return Hash{}, ErrForm
	case strings.HasPrefix(s, "$argon2id$"):
		return parseArgon2id(s)
	case strings.HasPrefix(s, "$2a$"), strings.HasPrefix(s, "$2b$"), strings.HasPrefix(s, "$2y$"):
		return parseBcrypt(s)
	}
	return Hash{}, ErrUnknown
}

func parseArgon2id(s string) (Hash, error) {
	parts := strings.Split(s, "$") // "", argon2id, v=19, parameters, salt, hash
	if len(parts) != 6 || parts[2] != "v=19" {
		return Hash{}, ErrForm
	}
	params := strings.Split(parts[3], ",")
	if len(params) != 3 {
		return Hash{}, ErrForm
	}
	var n [3]uint64
	for i, name := range []string{"m=", "t=", "p="} {
		text, ok := strings.CutPrefix(params[i], name)
		v, err := strconv.ParseUint(text, 10, 32)
		if !ok || err != nil || v == 0 || strconv.FormatUint(v, 10) != text {
			return Hash{}, ErrForm
		}
		n[i] = v
	}
	salt, err1 := base64.RawStdEncoding.Strict().DecodeString(parts[4])
	sum, err2 := base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(salt) < 8 || len(sum) < 16 || len(sum) > 64 || n[0] < 8*n[2] {
		return Hash{}, ErrForm
	}
	if n[0] > maxMemory || n[1] > maxWork || n[0]*n[1] > maxWork || n[2] > maxThreads {
		return Hash{}, ErrCost
	}
	return Hash{Kind: Argon2id, Memory: uint32(n[0]), Passes: uint32(n[1]), Threads: uint8(n[2]), Salt: salt, Sum: sum}, nil
}

// String writes an argon2id hash as Parse reads it.
func (h *Hash) String() string {
	b := base64.RawStdEncoding.EncodeToString
	return "$argon2id$v=19$m=" + strconv.FormatUint(uint64(h.Memory), 10) + ",t=" + strconv.FormatUint(uint64(h.Passes), 10) +
		",p=" + strconv.FormatUint(uint64(h.Threads), 10) + "$" + b(h.Salt) + "$" + b(h.Sum)
}

// bcryptLength is how long $2b$10$ and 22 characters of salt and 31 of hash are.
const bcryptLength = 60

func parseBcrypt(s string) (Hash, error) {
	if len(s) != bcryptLength || s[6] != '$' {
		return Hash{}, ErrForm
	}
	cost, err := strconv.Atoi(s[4:6])
	if err != nil || cost < 4 || s[4] < '0' || s[4] > '9' {
		return Hash{}, ErrForm
	}
	for _, c := range []byte(s[7:]) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '/' {
			return Hash{}, ErrForm
		}
	}
	if cost > maxCost {
		return Hash{}, ErrCost
	}
	return Hash{Kind: Bcrypt, Cost: cost}, nil
}

// Weak reports whether a hash is cheaper to try than is advised today: argon2id with
// 7 MiB and five passes, 19 MiB and two, 46 MiB and one, or bcrypt with a cost of 10
// (OWASP, Password Storage Cheat Sheet).
func (h *Hash) Weak() bool {
	if h.Kind == Bcrypt {
		return h.Cost < 10
	}
	m, t := h.Memory, h.Passes
	return !(m >= 47104 || m >= 19456 && t >= 2 || m >= 12288 && t >= 3 || m >= 9216 && t >= 4 || m >= 7168 && t >= 5)
}
