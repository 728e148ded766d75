package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Tab is a page of a context.
//
// What reads a page first waits for it to be loaded and not about to be left.
// What a page does of its own accord later than that, WaitLocation waits for.
type Tab struct {
	t      testing.TB
	ctx    context.Context
	cancel context.CancelFunc
	record *record
}

// Tab opens a tab in the context. It closes with the test.
func (c *Context) Tab(t testing.TB) *Tab {
	t.Helper()
	r := newRecord()
	ctx, cancel := chromedp.NewContext(c.b.ctx, chromedp.WithExistingBrowserContext(c.id), chromedp.WithListener(r.see))
	t.Cleanup(cancel)
	if err := begin(ctx, cancel); err != nil {
		t.Fatalf("no tab: %v", err)
	}
	r.mu.Lock()
	r.frame = cdp.FrameID(chromedp.FromContext(ctx).Target.TargetID)
	r.mu.Unlock()
	return &Tab{t, ctx, cancel, r}
}

// Close closes the tab, as its user would.
func (tab *Tab) Close() { tab.cancel() }

// Navigation is what came of going somewhere.
type Navigation struct {
	URL      string      // where the tab is now, with the fragment
	Status   int         // of the last document that was asked for; 0 if none was
	Header   http.Header // of the same
	Chain    []Response  // all documents that were asked for, first to last: redirects, and what pages went on to by themselves
	Restored bool        // nothing was asked for: the page was kept, or it is the same document
}

// Navigate goes to a URL, as if it were typed, and waits until the page that this
// ends on is loaded.
func (tab *Tab) Navigate(url string) Navigation {
	tab.t.Helper()
	return tab.must(tab.TryNavigate(url))
}

// TryNavigate is Navigate with an error. That a server refuses is not one.
func (tab *Tab) TryNavigate(url string) (Navigation, error) {
	return tab.through(func(ctx context.Context, target *chromedp.Target) error {
		res, err := cdp.Call(ctx, target, page.Navigate, page.NavigateParams{URL: url})
		// Aborted is also what has no page to show: 204, a download.
		if err == nil && res.ErrorText != "" && res.ErrorText != "net::ERR_ABORTED" {
			err = fmt.Errorf("%s: %s", url, res.ErrorText)
		}
		return err
	})
}

// Reload reloads the page.
func (tab *Tab) Reload() Navigation {
	tab.t.Helper()
	return tab.must(tab.through(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, page.Reload, page.ReloadParams{})
		return err
	}))
}

// Back goes back by one in the history. The browser may have kept the page; it
// then shows it without a request.
func (tab *Tab) Back() Navigation {
	tab.t.Helper()
	return tab.must(tab.through(travel(-1)))
}

// Forward undoes Back.
func (tab *Tab) Forward() Navigation {
	tab.t.Helper()
	return tab.must(tab.through(travel(1)))
}

func travel(by int64) func(context.Context, *chromedp.Target) error {
	return func(ctx context.Context, target *chromedp.Target) error {
		history, err := cdp.Call(ctx, target, page.GetNavigationHistory, cdp.Empty{})
		if err != nil {
			return err
		}
		at := history.CurrentIndex + by
		if at < 0 || at >= int64(len(history.Entries)) {
			return errors.New("there is no such page in the history")
		}
		_, err = cdp.Call(ctx, target, page.NavigateToHistoryEntry,
			page.NavigateToHistoryEntryParams{EntryID: history.Entries[at].ID})
		return err
	}
}

// Await does something that makes the tab go elsewhere, and waits until the page
// that this ends on is loaded.
func (tab *Tab) Await(act func()) Navigation {
	tab.t.Helper()
	return tab.must(tab.through(func(context.Context, *chromedp.Target) error {
		act()
		return nil
	}))
}

// Follow clicks on something that leads elsewhere, and waits for the page.
func (tab *Tab) Follow(selector string) Navigation {
	tab.t.Helper()
	return tab.Await(func() { tab.t.Helper(); tab.Click(selector) })
}

// Submit submits the form that an element is or is in, as its button would, and
// waits for the page.
func (tab *Tab) Submit(selector string) Navigation {
	tab.t.Helper()
	return tab.Await(func() {
		tab.t.Helper()
		tab.element(selector, `{ (e.form || e.closest("form")).requestSubmit(); return true; }`, nil)
	})
}

// Click clicks on an element with the mouse. Where that leads may not be known at
// once: Follow waits for it.
func (tab *Tab) Click(selector string) {
	tab.t.Helper()
	var at []float64
	tab.element(selector, `{
		e.scrollIntoView({block: "center", inline: "center", behavior: "instant"});
		const r = e.getClientRects()[0];
		if (!r || r.width === 0 || r.height === 0) return null;
		return [r.x + r.width / 2, r.y + r.height / 2];
	}`, &at)
	tab.run(func(ctx context.Context, target *chromedp.Target) error {
		for _, kind := range []input.DispatchMouseEventType{input.DispatchMouseEventTypeMouseMoved,
			input.DispatchMouseEventTypeMousePressed, input.DispatchMouseEventTypeMouseReleased} {
			event := input.DispatchMouseEventParams{Type: kind, X: at[0], Y: at[1]}
			if kind != input.DispatchMouseEventTypeMouseMoved {
				event.Button, event.ClickCount = input.MouseButtonLeft, 1
			}
			if _, err := cdp.Call(ctx, target, input.DispatchMouseEvent, event); err != nil {
				return err
			}
		}
		return nil
	})
}

// Fill types a text into a field in place of what it has.
func (tab *Tab) Fill(selector, text string) {
	tab.t.Helper()
	tab.element(selector, `{ e.focus(); e.select(); document.execCommand("delete"); return true; }`, nil)
	tab.run(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, input.InsertText, input.InsertTextParams{Text: text})
		return err
	})
	var value string
	if tab.element(selector, `e.value`, &value); value != text {
		tab.fatalf("%s has the value %q instead of %q", selector, value, text)
	}
}

// element waits for an element and evaluates what a function of it, e, is or does.
// That is tried again if it is null.
func (tab *Tab) element(selector, body string, out any) {
	tab.t.Helper()
	quoted, err := json.Marshal(selector)
	if err != nil {
		tab.fatalf("%v", err)
	}
	script := fmt.Sprintf(`(e => e ? (e => %s)(e) : null)(document.querySelector(%s))`, body, quoted)
	if err := tab.again(script, out); err != nil {
		tab.fatalf("%s: %v", selector, err)
	}
}

// again evaluates an expression until it has a value other than null. A page that
// goes away meanwhile is no reason to give up.
func (tab *Tab) again(expression string, out any) error {
	return tab.try(func(ctx context.Context, target *chromedp.Target) error {
		for {
			value, err := tab.evaluate(ctx, target, expression)
			var gone *cdproto.Error
			switch {
			case err != nil && !errors.As(err, &gone):
				return err
			case err == nil && string(value) != "null":
				return decode(value, out)
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
				return errors.Join(context.Cause(ctx), err)
			}
		}
	})
}

// Eval evaluates an expression of JavaScript in the page and waits for the promise
// if it is one. The value goes to out, by way of JSON, unless that is nil. What it
// calls may do what needs a user's gesture.
func (tab *Tab) Eval(expression string, out any) {
	tab.t.Helper()
	if err := tab.TryEval(expression, out); err != nil {
		tab.fatalf("%v", err)
	}
}

// TryEval is Eval with an error, as which an exception comes too.
func (tab *Tab) TryEval(expression string, out any) error {
	return tab.try(func(ctx context.Context, target *chromedp.Target) error {
		value, err := tab.evaluate(ctx, target, expression)
		if err != nil {
			return err
		}
		return decode(value, out)
	})
}

func (tab *Tab) evaluate(ctx context.Context, target *chromedp.Target, expression string) (json.RawMessage, error) {
	if err := tab.record.wait(ctx, tab.record.settled); err != nil {
		return nil, err
	}
	yes := true
	res, err := cdp.Call(ctx, target, runtime.Evaluate, runtime.EvaluateParams{
		Expression: expression, AwaitPromise: &yes, ReturnByValue: &yes, UserGesture: &yes})
	if err != nil {
		return nil, err
	}
	if res.ExceptionDetails != nil {
		return nil, &chromedp.ExceptionError{ExceptionDetails: res.ExceptionDetails}
	}
	return json.RawMessage(res.Result.Value), nil
}

func decode(value json.RawMessage, out any) error {
	if out == nil {
		return nil
	}
	if len(value) == 0 {
		return errors.New("the expression has no value")
	}
	return json.Unmarshal(value, out)
}

// Fetched is what a page's own script got.
type Fetched struct {
	Status     int
	URL        string // of the response, after redirects
	Redirected bool
	Type       string // basic, cors, opaque, opaqueredirect, …
	Header     http.Header
	Body       string
	Err        string // of the promise, if it was rejected; the rest is empty then
}

// Fetch calls fetch in the page. Options are fetch's own: method, headers, body,
// redirect, credentials, mode, ….
func (tab *Tab) Fetch(url string, options map[string]any) Fetched {
	tab.t.Helper()
	if options == nil {
		options = map[string]any{}
	}
	call, err := json.Marshal([]any{url, options})
	if err != nil {
		tab.fatalf("%v", err)
	}
	var out Fetched
	tab.Eval(fmt.Sprintf(`fetch(...%s).then(
		async r => ({status: r.status, url: r.url, redirected: r.redirected, type: r.type, body: await r.text(),
			header: Object.fromEntries([...r.headers].map(([k, v]) => [k, [v]]))}),
		e => ({err: String(e)}))`, call), &out)
	canonical := http.Header{}
	for name, values := range out.Header {
		canonical[http.CanonicalHeaderKey(name)] = values
	}
	out.Header = canonical
	return out
}

// Text returns the text of the page, as a reader sees it.
func (tab *Tab) Text() string {
	tab.t.Helper()
	return tab.read(`document.documentElement.innerText`)
}

// HTML returns the page's document as it now is.
func (tab *Tab) HTML() string {
	tab.t.Helper()
	return tab.read(`document.documentElement.outerHTML`)
}

// Location returns where the tab is.
func (tab *Tab) Location() string {
	tab.t.Helper()
	return tab.WaitLocation(func(string) bool { return true })
}

// WaitLocation waits until the tab is somewhere, the page loaded, and returns
// where.
func (tab *Tab) WaitLocation(there func(url string) bool) string {
	tab.t.Helper()
	r, url := tab.record, ""
	tab.run(func(ctx context.Context, _ *chromedp.Target) error {
		return r.wait(ctx, func() bool {
			url = r.url
			return r.settled() && there(url)
		})
	})
	return url
}

func (tab *Tab) read(expression string) string {
	tab.t.Helper()
	var out string
	if err := tab.again(expression, &out); err != nil {
		tab.fatalf("%v", err)
	}
	return out
}

// Responses returns all that the main frame's requests got since the tab was
// opened, in the order in which they were made.
func (tab *Tab) Responses() []Response {
	tab.t.Helper()
	return tab.responses(0)
}

// Documents are those of Responses that were pages, or were to be.
func (tab *Tab) Documents() []Response {
	tab.t.Helper()
	return documents(tab.Responses())
}

func documents(all []Response) []Response {
	return slices.DeleteFunc(all, func(r Response) bool { return r.Type != "Document" })
}

func (tab *Tab) responses(skip int) []Response {
	r := tab.record
	// Headers come separately, and may come late. They do not where the browser
	// stopped short of sending a request.
	ctx, cancel := context.WithTimeout(tab.ctx, patience/10)
	defer cancel()
	_ = r.wait(ctx, r.whole)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.from(skip)
}

// Look makes the tab so many CSS pixels wide, as a telephone is where that is less
// than 600, in light or in dark colours.
func (tab *Tab) Look(width int64, dark bool) {
	tab.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	tab.run(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: width, Height: 740, DeviceScaleFactor: 1, Mobile: width < 600})
		if err != nil {
			return err
		}
		_, err = cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return err
	})
}

// Screenshot writes the whole page to a PNG file.
func (tab *Tab) Screenshot(path string) {
	tab.t.Helper()
	tab.run(func(ctx context.Context, target *chromedp.Target) error {
		yes := true
		res, err := cdp.Call(ctx, target, page.CaptureScreenshot, page.CaptureScreenshotParams{
			Format: page.CaptureScreenshotFormatPng, CaptureBeyondViewport: &yes})
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, res.Data, 0o644)
	})
}

// through does something and waits until a navigation has come to an end.
func (tab *Tab) through(act func(context.Context, *chromedp.Target) error) (Navigation, error) {
	r := tab.record
	r.mu.Lock()
	skip, ends := len(r.hops), r.ends
	r.mu.Unlock()
	var out Navigation
	err := tab.try(func(ctx context.Context, target *chromedp.Target) error {
		if err := act(ctx, target); err != nil {
			_ = r.wait(ctx, r.settled) // on a page about the error, perhaps
			return err
		}
		return r.wait(ctx, func() bool {
			out.URL = r.url
			return r.ends > ends && r.settled()
		})
	})
	out.Chain = documents(tab.responses(skip))
	if n := len(out.Chain); n > 0 {
		last := out.Chain[n-1]
		out.Status, out.Header = last.Status, last.Header
		if err == nil && last.Status == 0 {
			err = fmt.Errorf("%s: %s", last.URL, last.Err)
		}
	}
	out.Restored = err == nil && len(out.Chain) == 0
	return out, err
}

func (tab *Tab) must(n Navigation, err error) Navigation {
	tab.t.Helper()
	if err != nil {
		tab.fatalf("%v", err)
	}
	return n
}

// try runs something in the tab, for as long as an operation may take.
func (tab *Tab) try(what func(context.Context, *chromedp.Target) error) error {
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Func(what))
	return err
}

func (tab *Tab) run(what func(context.Context, *chromedp.Target) error) {
	tab.t.Helper()
	if err := tab.try(what); err != nil {
		tab.fatalf("%v", err)
	}
}

// fatalf ends the test, and says which way the tab has come.
func (tab *Tab) fatalf(format string, args ...any) {
	tab.t.Helper()
	r := tab.record
	r.mu.Lock()
	text := fmt.Sprintf(format, args...) + "\nthe tab is at " + r.url
	for _, d := range documents(r.from(0)) {
		text += "\n\t" + d.String()
	}
	r.mu.Unlock()
	tab.t.Fatal(text)
}
