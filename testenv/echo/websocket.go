package echo

import (
	"net/http"

	"github.com/coder/websocket"
)

// websocketEcho echoes messages until the client closes.
func websocketEcho(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	for {
		kind, data, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if err := c.Write(r.Context(), kind, append([]byte("echo: "), data...)); err != nil {
			return
		}
	}
}
