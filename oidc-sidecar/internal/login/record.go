package login

import (
	"crypto/rand"
	"encoding/json"
	"time"

	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/seal"
)

// record is a session, as its cookies hold it.
type record struct {
	ID         string `json:"i"` // random; whoever knows it knows nothing
	Generation int64  `json:"g,omitempty"`
	Begun      int64  `json:"b"`           // Unix milliseconds
	Touched    int64  `json:"t"`           // Unix seconds, when its cookies were last written
	End        int64  `json:"x,omitempty"` // Unix seconds, from when on nothing opens it; 0 for never
	Source     string `json:"o"`           // one of the sources

	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	SID      string `json:"sid,omitempty"` // the identity provider's
	Client   int    `json:"c,omitempty"`
	ClientID string `json:"cid,omitempty"`

	Access   string `json:"at"`
	Opaque   bool   `json:"op,omitempty"` // the access token's claims are not ours to read
	IDToken  string `json:"it,omitempty"`
	Refresh  string `json:"rt,omitempty"`
	Scope    string `json:"sc,omitempty"`
	Expires  int64  `json:"e,omitempty"` // of the access token, Unix seconds; 0: unknown
	Life     int64  `json:"l,omitempty"` // how long it was good for when it came
	UserInfo string `json:"u,omitempty"`
}

// What a session has begun with.
const (
	sourceCode   = "authorization_code"
	sourceBearer = "bearer"
)

// maxRecord bounds a record, unpacked.
const maxRecord = 256 << 10

// seal writes a record as cookies for a request.
func (in *Instance) seal(rec *record, r *wire.Request, now time.Time) ([]string, reason.Code) {
	l := in.Login()
	rec.Touched = now.Unix()
	plain, err := json.Marshal(rec)
	if err != nil || len(plain) > maxRecord {
		return nil, reason.SessionTooLarge
	}
	text := in.Ring.Seal(sealSession, in.realm(l.SessionCookie.Name), seal.Pack(plain))
	cookies, ok := setCookies(&l.SessionCookie, r, text, in.cookieLife(rec, now))
	if !ok {
		return nil, reason.SessionTooLarge
	}
	return cookies, reason.Unspecified
}

// cookieLife is -1: cookies end with the browser's session, as Kong's do. What ends
// a session is inside.
func (in *Instance) cookieLife(*record, time.Time) int64 { return -1 }

// unseal opens the session of a request's cookies.
func (in *Instance) unseal(r *wire.Request) (*record, reason.Code) {
	l := in.Login()
	name := cookieName(&l.SessionCookie, r.Scheme)
	list := make([]seal.Cookie, len(r.Cookies))
	for i, c := range r.Cookies {
		list[i] = seal.Cookie(c)
	}
	text, err := seal.Join(name, list)
	if err != nil {
		return nil, reason.SessionInvalid
	}
	packed, err := in.Ring.Open(sealSession, in.realm(l.SessionCookie.Name), text)
	if err != nil {
		return nil, reason.SessionInvalid
	}
	plain, err := seal.Unpack(packed, maxRecord)
	if err != nil {
		return nil, reason.SessionInvalid
	}
	rec := &record{}
	if err := json.Unmarshal(plain, rec); err != nil || rec.ID == "" || rec.Begun == 0 || !in.admits(rec) {
		return nil, reason.SessionInvalid
	}
	return rec, reason.Unspecified
}

// newRecord begins a session. Its id is new: what the browser had before opens
// nothing of it. Its end is fixed: how long it has to be remembered once it is logged
// out must not depend on who logs it out, or on a configuration that is yet to come.
func (in *Instance) newRecord(source string, now time.Time) *record {
	rec := &record{ID: rand.Text(), Begun: now.UnixMilli(), Source: source}
	if a := in.Login().Absolute; a > 0 {
		rec.End = now.Unix() + a
	}
	return rec
}

func (rec *record) begun() time.Time { return time.UnixMilli(rec.Begun) }

// keys are the names by which a session can be ended: its own, its subject's at the
// issuer, the identity provider's session.
func (rec *record) keys() []string {
	list := []string{sessionKey(rec.ID), endpoint.SubjectKey(rec.Issuer, rec.Subject)}
	if rec.SID != "" {
		list = append(list, endpoint.ProviderKey(rec.Issuer, rec.ClientID, rec.SID))
	}
	return list
}

func sessionKey(id string) string { return endpoint.KeyOf("s", id) }

// end is when a session is over whatever happens, by its own end or by that of an
// instance that gives less time.
func (in *Instance) end(rec *record) time.Time {
	end := rec.last()
	if a := in.Login().Absolute; a > 0 {
		if own := rec.begun().Add(time.Duration(a) * time.Second); own.Before(end) {
			return own
		}
	}
	return end
}

// last is when nobody can open a session any more: until then the journal has to know
// that it was revoked.
func (rec *record) last() time.Time {
	if rec.End > 0 {
		return time.Unix(rec.End, 0)
	}
	return rec.begun().Add(forever)
}

// forever is how long a session lasts that has no end.
const forever = 10 * 365 * 24 * time.Hour

// over says whether a session has ended by its times or by being revoked.
func (s *Service) over(in *Instance, rec *record, touched int64) reason.Code {
	l, now := in.Login(), s.now()
	switch {
	case s.isRevoked(rec):
		return reason.SessionRevoked
	case !now.Before(in.end(rec)),
		l.Idling > 0 && now.Unix() >= touched+l.Idling,
		l.Rolling > 0 && now.Unix() >= touched+l.Rolling:
		return reason.SessionExpired
	}
	return reason.Unspecified
}

// isRevoked reports whether a session has been logged out, by any of its names.
func (s *Service) isRevoked(rec *record) bool {
	for _, k := range rec.keys() {
		if s.revoked.Revoked(k, rec.begun()) {
			return true
		}
	}
	return false
}
