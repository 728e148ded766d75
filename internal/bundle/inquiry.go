package bundle

import "github.com/sallyport-auth/sallyport/internal/jsonx"

func (i *Inquiry) write(w *jsonx.Writer) {
	w.Open('{')
	w.BoolMember("introspect_jwt", i.IntrospectJWT)
	w.StringMember("refresh_header", i.RefreshHeader)
	w.StringMember("id_token_header", i.IDTokenHeader)
	if len(i.Sent) > 0 {
		w.Name("sent")
		w.Open('[')
		for _, s := range i.Sent {
			w.Open('{')
			w.StringMember("method", s.Method.String())
			w.BoolMember("header", s.Header)
			w.StringMember("name", s.Name)
			w.Close('}')
		}
		w.Close(']')
	}
	w.Close('}')
}

func (d *decoder) inquiry(v jsonx.Value) *Inquiry {
	if !v.Exists() {
		return nil
	}
	d.object(v)
	i := &Inquiry{
		IntrospectJWT: d.bool(v.Get("introspect_jwt")),
		RefreshHeader: d.text(v.Get("refresh_header")),
		IDTokenHeader: d.text(v.Get("id_token_header")),
	}
	for c := d.list(v.Get("sent")); c.Next(); {
		s := Sent{Method: d.method(c.Value().Get("method")), Header: d.bool(c.Value().Get("header")), Name: d.text(c.Value().Get("name"))}
		d.bad = d.bad || s.Name == ""
		i.Sent = append(i.Sent, s)
	}
	return i
}

// methods reads the methods of an instance. One without any would let nobody pass, which
// is not what anybody means; a method that is not known makes the bundle none.
func (d *decoder) methods(v jsonx.Value) (list []Method) {
	for c := d.list(v); c.Next(); {
		list = append(list, d.method(c.Value()))
	}
	d.bad = d.bad || len(list) == 0
	return list
}

func (d *decoder) method(v jsonx.Value) Method {
	m := ParseMethod(d.text(v))
	d.bad = d.bad || m == NoMethod
	return m
}
