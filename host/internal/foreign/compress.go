package foreign

import (
	"bytes"
	"compress/zlib"
	"io"

	"github.com/sallyport-auth/sallyport/internal/abi"
)

// maxUncompressed bounds what uncompress returns. Envoy has no bound.
const maxUncompressed = 16 << 20

// Compress is Envoy's compress: zlib.
func Compress(argument []byte) ([]byte, abi.Status) {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	if _, err := w.Write(argument); err != nil || w.Close() != nil {
		return nil, abi.SerializationFailure
	}
	return out.Bytes(), abi.OK
}

// Uncompress is Envoy's uncompress.
func Uncompress(argument []byte) ([]byte, abi.Status) {
	r, err := zlib.NewReader(bytes.NewReader(argument))
	if err != nil {
		return nil, abi.SerializationFailure
	}
	out, err := io.ReadAll(io.LimitReader(r, maxUncompressed+1))
	if err != nil || len(out) > maxUncompressed {
		return nil, abi.SerializationFailure
	}
	return out, abi.OK
}
