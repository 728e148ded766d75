// Package axe looks for what keeps people from using a page, with the npm package
// axe-core in a browser: contrast, labels, landmarks, names of controls. install.sh
// installs it.
package axe

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/browser"
)

// Version is the one that install.sh installs.
const Version = "4.10.3"

// Script returns the program, skipping the test where there is none.
func Script(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testenv.Root(), ".tools", "axe-core-"+Version, "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		testenv.Missing(t, "axe-core is not installed: run testenv/axe/install.sh .tools")
	}
	return string(text)
}

// violation is a rule that a page breaks.
type violation struct {
	ID     string `json:"id"`
	Impact string `json:"impact"`
	Help   string `json:"help"`
	Nodes  []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

// Check runs all rules of WCAG 2.2 A and AA, and those of good practice, on the page that
// a tab shows, and returns what it breaks: a line for each element.
func Check(tab *browser.Tab, script string) []string {
	tab.Eval(script+`; true`, nil)
	var found []violation
	tab.Eval(`axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(r => r.violations)`, &found)
	var out []string
	for _, v := range found {
		for _, n := range v.Nodes {
			out = append(out, fmt.Sprintf("%s (%s): %s: %s: %s", v.ID, v.Impact, v.Help, n.HTML, strings.Join(strings.Fields(n.Summary), " ")))
		}
	}
	return out
}
