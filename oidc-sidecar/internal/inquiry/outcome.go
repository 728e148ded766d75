package inquiry

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
)

// outcome says in the words of the closed list what an error of an endpoint means. own
// is set where the client that was refused is ours and not the caller's.
func outcome(m bundle.Method, err error, own bool) reason.Code {
	refusal, status := &endpoint.Refusal{}, endpoint.Status(0)
	switch {
	case errors.As(err, &refusal):
		status = endpoint.Status(refusal.Status)
	case !errors.As(err, &status):
		return reason.IssuerUnavailable
	}
	client := reason.CredentialRefused // whoever's it is that the issuer does not take
	if own {
		client = reason.LoginMisconfigured
	}
	switch {
	case status == http.StatusTooManyRequests || refusal.Code == "slow_down":
		return reason.Overloaded
	case m == bundle.UserInfo:
		return ofUserInfo(int(status), refusal.Code)
	}
	switch refusal.Code {
	case "invalid_client", "unauthorized_client":
		return client
	case "invalid_grant", "access_denied", "mfa_required", "interaction_required", "login_required", "consent_required",
		"account_selection_required":
		if m != bundle.Introspection {
			return reason.CredentialRefused
		}
	case "unsupported_token_type":
		return reason.TokenInactive
	case "unsupported_grant_type", "invalid_request", "invalid_target":
		return reason.LoginMisconfigured
	case "invalid_scope":
		return client // what a client may ask for is what it was given
	case "temporarily_unavailable", "server_error":
		return reason.IssuerUnavailable
	}
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		return client
	}
	return reason.IssuerUnavailable
}

// ofUserInfo is outcome for userinfo, where the token is the only credential (RFC 6750
// §3.1).
func ofUserInfo(status int, code string) reason.Code {
	if status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusBadRequest && code == "invalid_token" {
		return reason.TokenInactive
	}
	return reason.IssuerUnavailable
}

// failed is the result of a request that brought no answer.
func (s *Service) failed(q *question, err error, own bool) result {
	code := outcome(q.method, err, own)
	if code.Ours() {
		s.complain(q, code, err)
	}
	return s.refused(q, code)
}

// missing is the result where the issuer has no endpoint for a method. Whether it has
// one is not known as long as it has not been reached.
func (s *Service) missing(q *question) result {
	if q.set.Err != nil {
		return result{code: reason.IssuerUnavailable}
	}
	s.complain(q, reason.Unjudgeable, endpoint.ErrNoEndpoint)
	return result{code: reason.Unjudgeable, until: s.now().Unix() + noEndpoint}
}

// complain says in the log that something is wrong which is not the caller's fault, and
// does not say it again for a while: callers decide how often it happens.
func (s *Service) complain(q *question, code reason.Code, err error) {
	if s.quiet.broken(q.in.ID+" "+q.method.String()+" "+code.Error(), s.now()) {
		s.logger.Warn("an issuer cannot be asked about a credential", "issuer", q.p.Config().Name(),
			"method", q.method.String(), "reason", code.Error(), "error", err)
	}
}

// quiet keeps one thing from being said again and again.
type quiet struct {
	mu   sync.Mutex // guards what follows
	said map[string]time.Time
}

// Bounds on what is said.
const (
	quietTime = 10 * time.Second
	maxQuiet  = 1024
)

func newQuiet() *quiet { return &quiet{said: map[string]time.Time{}} }

// broken reports whether something may be said now.
func (l *quiet) broken(what string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, ok := l.said[what]; ok && now.Sub(at) < quietTime {
		return false
	}
	if len(l.said) >= maxQuiet {
		clear(l.said)
	}
	l.said[what] = now
	return true
}
