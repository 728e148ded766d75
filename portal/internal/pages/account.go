package pages

import (
	"errors"
	"net/http"

	"github.com/sallyport-auth/sallyport/internal/registry"
)

// root is the first page: for whoever comes by, or for a developer.
func (v *visit) root() {
	q := v.r.URL.Query()
	for _, name := range []string{"id_token", "access_token", "refresh_token"} {
		if q.Has(name) {
			// login_redirect_mode query puts tokens there. They are not for here, and not
			// for the browser's history.
			v.toHome()
			return
		}
	}
	switch {
	case !v.in:
		v.show(http.StatusOK, "welcome", v.view("Developer portal", "home", map[string]string{
			"SignIn": v.home + "/login", "Register": v.home + "/register"}))
	case !v.approved():
		v.refuse()
	default:
		v.start()
	}
}

// refuse tells somebody without an approved account so: here, or where
// forbidden_redirect_uri says (S3-09).
func (v *visit) refuse() {
	if to := v.settings.ForbiddenTo; to != "" && v.r.Method != http.MethodPost {
		redirect(v.w, http.StatusFound, to)
		return
	}
	v.denied()
}

// why says why a visitor may not go on.
type why struct {
	Heading, Text, To, ToText, Email string
	State                            state
	Facts                            []fact
}

// denied is the page that says why (S3-14, S3-15).
func (v *visit) denied() {
	if v.approved() {
		v.toHome()
		return
	}
	d := why{Email: v.who.Email, Facts: []fact{{Name: "Signed in as", Value: v.who.Email}}}
	status := http.StatusForbidden
	switch {
	case !v.in:
		status = http.StatusUnauthorized
		d.Heading, d.Text = "Sign in first", "This page is for developers who have signed in."
		d.To, d.ToText = v.home+"/login", "Sign in"
	case v.known:
		d.State = stateOf(v.dev.Status)
		d.Facts = append(d.Facts, fullTime("Registered", v.dev.Created))
		switch v.dev.Status {
		case registry.Requested:
			d.Heading, d.Text = "Your account waits for approval", "An administrator looks at each registration. Come back later: nothing more needs to be done."
		case registry.Rejected:
			d.Heading, d.Text = "Your registration was not approved", "The administrators of the portal can tell you why."
		default:
			d.Heading, d.Text = "Your account is closed", "It was revoked, and so was the access of its applications. The administrators of the portal can tell you why."
		}
	case v.who.Email == "":
		d.Heading, d.Text = "You have no address", "The identity provider does not say which e-mail address is yours. Without it there can be no account here."
	case !v.who.Verified:
		d.Heading, d.Text = "Your address is not verified", "The identity provider does not answer for your e-mail address. Verify it there, sign out and sign in again."
	default:
		d.Heading, d.Text = "You have no developer account yet", "You have signed in, and nobody has registered as you. That is a step of its own."
		d.To, d.ToText = v.home+"/register", "Register"
	}
	p := v.view(d.Heading, "", d)
	p.Narrow = true
	v.show(status, "denied", p)
}

// registration is the form.
type registration struct {
	Email, Name string
	AutoApprove bool
}

// register makes an account for who has signed in. The address is the identity
// provider's: nothing of it comes from the form. What the answer says is the same
// whether or not there is an account with that address.
func (v *visit) register() {
	switch {
	case v.approved():
		v.toHome()
		return
	case v.known || !v.who.Verified || v.who.Email == "":
		v.denied()
		return
	}
	d := registration{Email: v.who.Email, Name: v.who.Name, AutoApprove: v.settings.AutoApprove}
	p := v.view("Register", "", &d)
	p.Narrow = true
	if v.r.Method != http.MethodPost {
		v.show(http.StatusOK, "register", p)
		return
	}
	if d.Name = v.value("name"); d.Name == "" {
		p.Problems = append(p.Problems, problem{"name", "Enter your name."})
	} else if !line(d.Name, maxName) {
		p.Problems = append(p.Problems, problem{"name", "Enter a name of one line, without control characters, of at most 200 bytes."})
	}
	if len(p.Problems) > 0 {
		v.show(http.StatusUnprocessableEntity, "register", p)
		return
	}
	err := v.enter(d.Name)
	var taken *registry.Conflict
	var invalid *registry.Invalid
	switch {
	case errors.As(err, &invalid):
		v.config.Logger.Warn("what the identity provider says of somebody cannot be kept", "error", err, "request_id", v.r.Header.Get("X-Request-Id"))
		p.Problems = append(p.Problems, problem{"", "What the identity provider says of you cannot be kept here. The administrators of the portal can tell you why."})
		v.show(http.StatusUnprocessableEntity, "register", p)
		return
	case errors.As(err, &taken):
		// Somebody else has the account, or made it first. Whoever asks does not learn
		// it from us; the administrators do.
		v.config.Logger.Warn("a registration is in conflict with an account that is there", "field", taken.Field,
			"request_id", v.r.Header.Get("X-Request-Id"))
	case err != nil:
		v.trouble(err)
		return
	}
	v.to("/register/sent", "")
}

// errLinked is why an account that somebody uses is not given to somebody else.
var errLinked = &registry.Conflict{Field: "email"}

// enter makes the account, or links the one that an administrator has made for the
// address and nobody has used yet. Its status stays as it was made.
func (v *visit) enter(name string) error {
	_, err := v.config.Registry.Register(v.ctx, v.actor(), registry.Developer{Email: v.who.Email, Name: name,
		Issuer: v.who.Issuer, Subject: v.who.Subject}, v.settings.AutoApprove)
	var taken *registry.Conflict
	if !errors.As(err, &taken) || taken.Field != "email" {
		return err
	}
	_, err = v.config.Registry.UpdateDeveloper(v.ctx, v.actor(), v.who.Email, func(d *registry.Developer) error {
		if d.Issuer != "" || d.Subject != "" {
			return errLinked
		}
		d.Name, d.Issuer, d.Subject = name, v.who.Issuer, v.who.Subject
		return nil
	})
	if errors.Is(err, registry.ErrNotFound) {
		return errLinked // it was there a moment ago
	}
	return err
}

func (v *visit) registered() {
	p := v.view("Registration received", "", nil)
	p.Narrow = true
	v.show(http.StatusOK, "sent", p)
}

// profile is the account's page.
type profile struct {
	Name  string
	State state
	Facts []fact
}

func (v *visit) account() {
	d := profile{Name: v.dev.Name, State: stateOf(v.dev.Status), Facts: []fact{{Name: "E-mail address", Value: v.dev.Email},
		{Name: "Name", Value: v.dev.Name}, {Name: "Identity provider", Value: v.dev.Issuer, Code: true}, {Name: "Subject", Value: v.dev.Subject, Code: true},
		fullTime("Registered", v.dev.Created)}}
	p := v.view("Your account", "account", &d)
	p.Narrow = true
	if v.r.Method != http.MethodPost {
		v.show(http.StatusOK, "account", p)
		return
	}
	if d.Name = v.value("name"); d.Name == "" || !line(d.Name, maxName) {
		p.Problems = append(p.Problems, problem{"name", "Enter a name of one line, of at most 200 bytes."})
		v.show(http.StatusUnprocessableEntity, "account", p)
		return
	}
	_, err := v.config.Registry.UpdateDeveloper(v.ctx, v.actor(), v.dev.ID, func(dev *registry.Developer) error {
		dev.Name = d.Name
		return nil
	})
	if err != nil {
		v.trouble(err)
		return
	}
	v.to("/account", "saved")
}
