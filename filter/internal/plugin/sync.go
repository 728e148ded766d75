package plugin

import (
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

const (
	// firstTick is the time between two polls until there is a bundle, in
	// milliseconds. The first one cannot be sent before: in on_configure the
	// cluster may not be there yet.
	firstTick = 20
	// pollTimeout bounds a poll, in milliseconds.
	pollTimeout = 2000
	maxBundle   = bundle.MaxBytes
	// ReadyFunction is a foreign function that is called with the bundle's source
	// when a bundle has been taken over. A proxy that has no such function does
	// not need to know.
	ReadyFunction = "sallyport_bundle"
)

// syncer keeps the bundle and the caches current.
type syncer struct {
	under   bool // a poll is under way
	settled bool // the tick has its final period
	failed  int  // polls in a row
	refused string
}

// poll asks for what happened since, or for the bundle while there is none. A
// poll that is under way is waited for: a slow sidecar is not asked twice.
func (v *vm) poll() {
	if v.sync.under {
		return
	}
	if v.engine.Bundle() == nil {
		v.fetchBundle()
		return
	}
	feed, seq, etag := v.engine.Place()
	path := wire.ChangesPath(feed, strconv.FormatUint(seq, 10), etag)
	v.sync.under = v.call(&callout{kind: callChanges}, "GET", path, nil, pollTimeout)
}

func (v *vm) fetchBundle() {
	v.sync.under = v.call(&callout{kind: callBundle}, "GET", wire.PathBundle, nil, pollTimeout)
}

// gotChanges takes in what happened.
func (v *vm) gotChanges(status, body string, code reason.Code, now int64) {
	v.sync.under = false
	if code == reason.Unspecified && status == "204" {
		v.sync.failed = 0
		v.engine.Contact(now)
		return
	}
	changes, ok := wire.DecodeChanges(strings.Clone(body))
	if code != reason.Unspecified || status != "200" || !ok {
		v.pollFailed(code, status)
		return
	}
	v.sync.failed = 0
	v.engine.Contact(now)
	_, _, etag := v.engine.Place()
	v.engine.Apply(changes)
	if changes.Bundle != etag && changes.Bundle != v.sync.refused {
		v.fetchBundle()
	}
}

// gotBundle takes over a bundle, whole or not at all.
func (v *vm) gotBundle(status, body string, code reason.Code, now int64) {
	v.sync.under = false
	if code != reason.Unspecified || status != "200" {
		v.pollFailed(code, status)
		return
	}
	etag := strings.Trim(v.responseHeader("etag"), `"`)
	b, err := bundle.Decode(strings.Clone(body))
	if err == nil {
		err = v.engine.SetBundle(b, etag, now)
	}
	if err != nil {
		v.sync.refused = etag
		v.logs.write(abi.Error, "sallyport: a bundle is refused, the old one stays: "+err.Error())
		return
	}
	v.sync.failed, v.sync.refused = 0, ""
	v.stats.generation = b.Generation
	v.settle()
	_, _ = hostCallForeign(ReadyFunction, []byte(b.Source))
	v.logs.write(abi.Info, "sallyport: bundle "+strconv.FormatUint(b.Generation, 10)+" with "+
		strconv.Itoa(len(b.Routes))+" routes is in use")
}

// settle changes the tick to its final period, which differs between VMs so
// that they do not all poll at once.
func (v *vm) settle() {
	if v.sync.settled {
		return
	}
	period := v.config.PollMS
	if now, status := hostNow(); status == abi.OK {
		period -= uint32(now/1000) % (period/4 + 1)
	}
	v.sync.settled = hostSetTick(period) == abi.OK
}

// patience is how many polls may fail before anything is said of a sidecar that has
// never answered: it is started together with the proxy, and may need a moment.
const patience = 25

func (v *vm) pollFailed(code reason.Code, status string) {
	v.sync.failed++
	what, say := "changes", v.sync.failed == 1
	if v.engine.Bundle() == nil {
		what, say = "bundle", v.sync.failed == patience
	}
	if !say {
		return
	}
	text := "sallyport: the sidecar gives no " + what + ":"
	if code != reason.Unspecified {
		text += " reason=" + code.Error()
	}
	if status != "" {
		text += " status=" + string(printable(nil, status, 8))
	}
	v.logs.write(abi.Warn, text)
}

func (v *vm) responseHeader(name string) string {
	text, status := hostPairs(abi.HTTPCallResponseHeaders)
	if status != abi.OK {
		return ""
	}
	pairs, _ := abi.DecodePairs(nil, text)
	for _, p := range pairs {
		if p.Key == name {
			return strings.Clone(p.Value)
		}
	}
	return ""
}
