package demo

import (
	"encoding/json"
	"net/http"
	"strings"
)

// secrets are headers that the echo leaves out.
var secrets = map[string]bool{"Authorization": true, "Cookie": true, "X-Id-Token": true}

// echo answers with the request as it arrived.
func echo(w http.ResponseWriter, r *http.Request) {
	headers := map[string]string{}
	for name, values := range r.Header {
		if !secrets[name] {
			headers[name] = strings.Join(values, ", ")
		}
	}
	body, err := json.MarshalIndent(map[string]any{"method": r.Method, "path": r.URL.RequestURI(), "headers": headers}, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n')) // the client may be gone
}
