package vm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
)

const header = "\x00asm\x01\x00\x00\x00"

// section returns a section of a module.
func section(id byte, content string) string {
	return string(binary.AppendUvarint([]byte{id}, uint64(len(content)))) + content
}

func TestAdmit(t *testing.T) {
	const billions = "\xff\xff\xff\xff\x0f"
	function := section(1, "\x01\x60\x00\x00") + section(3, "\x01\x00")
	for _, test := range []struct {
		name, module string
		want         error
	}{
		{"a table at its bound", section(4, "\x01\x70\x00\x80\x80\x40"), nil},
		{"a table beyond it", section(4, "\x01\x70\x00\x81\x80\x40"), errTables},
		{"seventeen tables", section(4, "\x11"+strings.Repeat("\x70\x01\x00\x00", 17)), errTables},
		{"a table with an initializer", section(4, "\x01\x40\x00\x70\x00\x01\xd0\x70\x0b"), errMalformed},
		{"a table of another kind", section(4, "\x01\x70\x04\x01"), errMalformed},
		{"as many locals as may be", function + section(10, "\x01\x06\x01\xd0\x86\x03\x7f\x0b"), nil},
		{"a local more", function + section(10, "\x01\x06\x01\xd1\x86\x03\x7f\x0b"), errLocals},
		{"locals that add up", function + section(10, "\x01\x0e\x02"+billions+"\x7f"+billions+"\x7f\x0b"), errLocals},
		{"types", section(1, billions), errMalformed},
		{"parameters", section(1, "\x01\x60"+billions), errMalformed},
		{"results", section(1, "\x01\x60\x00"+billions), errMalformed},
		{"imports", section(2, billions), errMalformed},
		{"the name of an import's module", section(2, "\x01"+billions+"\x00\x00\x00"), errMalformed},
		{"the name of an import", section(2, "\x01\x00"+billions+"\x00\x00"), errMalformed},
		{"imports of every kind", section(2, "\x05\x00\x00\x00\x00\x00\x00\x01\x70\x00\x01\x00\x00\x02\x01\x01\x02\x00\x00\x02\x00\x01\x00\x00\x03\x7f\x00"), nil},
		{"an import of no kind", section(2, "\x01\x00\x00\x05\x00"), errMalformed},
		{"the name of an export", section(7, "\x01"+billions+"\x00\x00"), errMalformed},
		{"functions", section(3, billions), errMalformed},
		{"tables", section(4, billions), errMalformed},
		{"globals", section(6, billions), errMalformed},
		{"exports", section(7, billions), errMalformed},
		{"segments of elements", section(9, billions), errMalformed},
		{"elements", section(9, "\x01\x00\x41\x00\x0b"+billions), errMalformed},
		{"elements that are expressions", section(9, "\x01\x05\x70"+billions), errMalformed},
		{"bodies", section(10, billions), errMalformed},
		{"groups of locals", section(10, "\x01\x06"+billions+"\x0b"), errMalformed},
		{"segments of data", section(11, billions), errMalformed},
		{"data", section(11, "\x01\x01"+billions), errMalformed},
		{"an expression without an end", section(11, "\x01\x00\x41\x80"), errMalformed},
		{"a section beyond the module", "\x01\x05\x00", errMalformed},
		{"six bytes of a number", "\x00\x80\x80\x80\x80\x80\x00", errMalformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := admit([]byte(header + test.module))
			if !errors.Is(err, test.want) || (err == nil) != (got != nil) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
	if _, err := admit(make([]byte, maxModule+1)); !errors.Is(err, errModuleSize) {
		t.Errorf("a module that is too large: %v", err)
	}
}

// Every table has a maximum afterwards, and what has one already is not touched.
func TestAdmitTables(t *testing.T) {
	rest := section(0, "\x01x"+"anything") + section(5, "\x01\x00\x01")
	for _, test := range []struct{ name, before, after string }{
		{"no maximum", "\x02\x70\x00\x05\x6f\x01\x01\x02", "\x02\x70\x01\x05\x80\x80\x40\x6f\x01\x01\x02"},
		{"a large one", "\x01\x70\x01\x05\xff\xff\xff\xff\x0f", "\x01\x70\x01\x05\x80\x80\x40"},
		{"a small one", "\x01\x70\x01\x05\x06", "\x01\x70\x01\x05\x06"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := header + section(4, test.before) + rest
			got, err := admit([]byte(before))
			if want := header + section(4, test.after) + rest; err != nil || string(got) != want {
				t.Errorf("got %q, %v; want %q", got, err, want)
			}
		})
	}
}

// table.grow ends at the maximum: 100 pages of it, of which each has 64Ki entries.
func TestTableGrow(t *testing.T) {
	wasm := []byte(header + section(1, "\x01\x60\x00\x01\x7f") + section(3, "\x01\x00") + section(4, "\x01\x70\x00\x00") +
		section(7, "\x01\x01g\x00\x00") + section(10, "\x01\x0b\x00\xd0\x70\x41\x80\x80\x04\xfc\x0f\x00\x0b"))
	wasm, err := admit(wasm)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx)
	m, err := r.Instantiate(ctx, wasm)
	if err != nil {
		t.Fatal(err)
	}
	var sizes []uint64
	for range 18 {
		size, err := m.ExportedFunction("g").Call(ctx)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, size[0])
	}
	if sizes[15] != 15<<16 || sizes[16] != 0xffffffff || sizes[17] != 0xffffffff {
		t.Errorf("%d", sizes)
	}
}

// A section of names that cannot be read goes; one that can stays.
func TestAdmitNames(t *testing.T) {
	good := section(0, "\x04name"+"\x00\x02\x01m"+"\x01\x04\x01\x00\x01f"+"\x02\x06\x01\x00\x01\x00\x01l"+"\x09\x01x")
	for _, bad := range []string{
		"\x01\x06\xff\xff\xff\xff\x0f\x00", "\x01\x03\x01\x00\x09", "\x01\x05\x01\x00\x01ff", "\x01\x09",
		"\x02\x07\x01\x00\xff\xff\xff\xff\x0f", "\x00\x05\xff\xff\xff\xff\x0f",
	} {
		for _, s := range []string{good, section(0, "\x04name"+bad)} {
			got, err := admit([]byte(header + s))
			if want := map[bool]string{true: header + good, false: header}[s == good]; err != nil || string(got) != want {
				t.Errorf("%q: %q, %v", s, got, err)
			}
		}
	}
}

// FuzzAdmit: what passes is compiled or refused by wazero without ado, and passes again
// as it is.
func FuzzAdmit(f *testing.F) {
	function := section(1, "\x02\x60\x00\x00\x60\x01\x7f\x01\x7f") + section(3, "\x01\x00")
	f.Add([]byte(header + function + section(4, "\x01\x70\x00\x01") + section(5, "\x01\x00\x01") + section(6, "\x01\x7f\x01\x41\x00\x0b") +
		section(7, "\x01\x01f\x00\x00") + section(9, "\x01\x00\x41\x00\x0b\x01\x00") + section(10, "\x01\x05\x01\x02\x7f\x01\x0b") +
		section(11, "\x01\x00\x41\x00\x0b\x02hi") + section(0, "\x04name\x01\x04\x01\x00\x01f")))
	f.Add([]byte(header + section(2, "\x01\x03env\x05table\x01\x70\x00\x01")))
	f.Add([]byte(header + section(12, "\x01") + section(10, "\x00")))
	ctx := context.Background()
	f.Fuzz(func(t *testing.T, wasm []byte) {
		got, err := admit(bytes.Clone(wasm))
		if err != nil {
			return
		}
		again, err := admit(slices.Clone(got))
		if err != nil || !bytes.Equal(again, got) {
			t.Errorf("%q becomes %q, which becomes %q, %v", wasm, got, again, err)
		}
		r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithMemoryLimitPages(16))
		defer r.Close(ctx)
		if m, err := r.CompileModule(ctx, got); err == nil {
			_ = m.Close(ctx)
		}
	})
}
