package browser

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
)

// Response is what a request of a tab's main frame got.
type Response struct {
	Type    string // Document, Fetch, XHR, Image, Script, … as the developer tools name it
	Method  string
	URL     string // with the fragment
	Status  int
	Header  http.Header // with Set-Cookie
	Sent    http.Header // the request's header, with Cookie
	Refused []string    // cookies that were not kept: the line, and why
	Cached  bool        // no request was made
	Err     string      // net::ERR_… when there was no response, or not all of it
}

// String is a response in a line.
func (r Response) String() string {
	out := fmt.Sprintf("%s %s %s: %d", r.Type, r.Method, r.URL, r.Status)
	for _, more := range append([]string{r.Header.Get("Location"), r.Err}, r.Refused...) {
		if more != "" {
			out += " " + more
		}
	}
	return out
}

// record is what the browser tells of a tab.
type record struct {
	mu      sync.Mutex // guards all below
	changed chan struct{}

	hops []*hop
	sent map[network.RequestID][]*network.EventRequestWillBeSentExtraInfo
	got  map[network.RequestID][]*network.EventResponseReceivedExtraInfo

	frame   cdp.FrameID  // the main frame
	loader  cdp.LoaderID // of its document
	url     string
	loaded  bool // the document's load event has been
	pending bool // a navigation is under way
	next    cdp.LoaderID
	ends    int // navigations that came to an end
}

// hop is a request and its response: a redirect makes another hop of the same id.
type hop struct {
	Response
	id    network.RequestID
	order int  // of those with this id which have more in other events
	more  bool // there are, or will be, those other events
}

func newRecord() *record {
	return &record{
		changed: make(chan struct{}), url: "about:blank", loaded: true,
		sent: map[network.RequestID][]*network.EventRequestWillBeSentExtraInfo{},
		got:  map[network.RequestID][]*network.EventResponseReceivedExtraInfo{},
	}
}

// see takes an event, in the order in which the browser sends them.
func (r *record) see(event any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent, *network.EventResponseReceived, *network.EventLoadingFailed,
		*network.EventRequestWillBeSentExtraInfo, *network.EventResponseReceivedExtraInfo:
		r.seeNetwork(e)
	case *page.EventFrameRequestedNavigation, *page.EventFrameStartedNavigating, *page.EventFrameNavigated,
		*page.EventNavigatedWithinDocument, *page.EventLifecycleEvent:
		r.seePage(e)
	default:
		return
	}
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *record) seeNetwork(event any) {
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if last := r.last(e.RequestID); last != nil && e.RedirectResponse != nil {
			r.answer(last, e.RedirectResponse, e.RedirectHasExtraInfo)
		}
		if e.FrameID == r.frame {
			r.hops = append(r.hops, &hop{id: e.RequestID, Response: Response{Type: string(e.Type), Method: e.Request.Method,
				URL: e.Request.URL + e.Request.URLFragment, Sent: header(e.Request.Headers)}})
		}
	case *network.EventResponseReceived:
		if last := r.last(e.RequestID); last != nil {
			r.answer(last, e.Response, e.HasExtraInfo)
		}
	case *network.EventLoadingFailed:
		if last := r.last(e.RequestID); last != nil {
			last.Err = e.ErrorText
		}
		// What was not canceled ends with a page that says so.
		if r.pending && e.Canceled && string(e.RequestID) == string(r.next) {
			r.end()
		}
	case *network.EventRequestWillBeSentExtraInfo:
		r.sent[e.RequestID] = append(r.sent[e.RequestID], e)
	case *network.EventResponseReceivedExtraInfo:
		r.got[e.RequestID] = append(r.got[e.RequestID], e)
	}
}

func (r *record) seePage(event any) {
	switch e := event.(type) {
	case *page.EventFrameRequestedNavigation:
		if e.FrameID == r.frame && e.Disposition == page.ClientNavigationDispositionCurrentTab {
			r.pending, r.next = true, ""
		}
	case *page.EventFrameStartedNavigating:
		if e.FrameID == r.frame {
			r.pending, r.next = true, e.LoaderID
		}
	case *page.EventFrameNavigated:
		if e.Frame.ParentID == "" {
			r.frame, r.loader, r.url = e.Frame.ID, e.Frame.LoaderID, e.Frame.URL+e.Frame.URLFragment
			r.loaded = e.Type == page.NavigationTypeBackForwardCacheRestore // which has no event
			r.end()
		}
	case *page.EventNavigatedWithinDocument:
		if e.FrameID == r.frame {
			r.url = e.URL
			r.end()
		}
	case *page.EventLifecycleEvent:
		if e.FrameID == r.frame && e.LoaderID == r.loader && e.Name == "load" {
			r.loaded = true
		}
	}
}

func (r *record) end() {
	r.pending, r.next = false, ""
	r.ends++
}

func (r *record) last(id network.RequestID) *hop {
	for _, h := range slices.Backward(r.hops) {
		if h.id == id {
			return h
		}
	}
	return nil
}

func (r *record) answer(h *hop, res *network.Response, more bool) {
	h.Status, h.Header, h.Cached = int(res.Status), header(res.Headers), res.FromDiskCache
	h.more = more
	for _, other := range r.hops {
		if other != h && other.id == h.id && other.more {
			h.order++
		}
	}
}

// whole reports whether all that belongs to the responses has been told.
func (r *record) whole() bool {
	for _, h := range r.hops {
		if h.more && (len(r.sent[h.id]) <= h.order || len(r.got[h.id]) <= h.order) {
			return false
		}
	}
	return true
}

// from returns the responses, leaving out the first skip, and requests that have
// none yet.
func (r *record) from(skip int) []Response {
	var out []Response
	for _, h := range r.hops[skip:] {
		if h.Status == 0 && h.Err == "" {
			continue
		}
		res := h.Response
		if sent := r.sent[h.id]; h.more && h.order < len(sent) {
			res.Sent = header(sent[h.order].Headers)
		}
		if got := r.got[h.id]; h.more && h.order < len(got) {
			res.Header = header(got[h.order].Headers)
			for _, b := range got[h.order].BlockedCookies {
				res.Refused = append(res.Refused, fmt.Sprintf("%s %v", b.CookieLine, b.BlockedReasons))
			}
		}
		out = append(out, res)
	}
	return out
}

// header turns what the protocol has for headers into one: several values of a
// name come in one, with a line each.
func header(in network.Headers) http.Header {
	out := http.Header{}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		for value := range strings.SplitSeq(fmt.Sprint(in[name]), "\n") {
			out.Add(name, value)
		}
	}
	return out
}

// settled reports whether the tab shows a document that is loaded and is not
// about to be left.
func (r *record) settled() bool { return r.loaded && !r.pending }

// wait waits until something holds.
func (r *record) wait(ctx context.Context, what func() bool) error {
	for {
		r.mu.Lock()
		ok, changed := what(), r.changed
		r.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
