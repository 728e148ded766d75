package endpoint

import (
	"context"
	"errors"
	"net/http"

	"github.com/sallyport-auth/sallyport/internal/jsonx"
)

// UserInfo asks userinfo about an access token (OIDC Core §5.3). A status other than
// 200 is a *Refusal or a Status.
func (c Caller) UserInfo(ctx context.Context, endpoint, access string, headers http.Header) (jsonx.Doc, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint, nil)
	if err != nil {
		return jsonx.Doc{}, errors.New("the endpoint is no URL")
	}
	for name, values := range headers {
		req.Header[name] = values
	}
	req.Header.Set("Authorization", "Bearer "+access)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "sallyport")
	res, err := c.do(req)
	if err != nil {
		return jsonx.Doc{}, err
	}
	defer res.Body.Close()
	return Answer(res)
}
