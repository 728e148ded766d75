package publish

import (
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/inquiry"
)

// Inquiry returns an instance that asks its issuer about callers, by the id of its
// plugin, nil for none. One of the file before is known as long as its routes are.
func (p *Publisher) Inquiry(id string) *inquiry.Instance {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.current == nil {
		return nil
	}
	if in := p.current.Inquiries[id]; in != nil || p.kept == nil {
		return in
	}
	return p.kept.Inquiries[id]
}

// InquiryByPath returns an instance by the name that paths for identity providers have,
// nil for none.
func (p *Publisher) InquiryByPath(public string) *inquiry.Instance {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.current == nil {
		return nil
	}
	for _, in := range p.current.Inquiries {
		if in.Public == public {
			return in
		}
	}
	return nil
}
