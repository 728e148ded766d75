package portal

// HeaderNames are the names of the headers that the filter tells pages by.
func (p *Portal) HeaderNames() []string {
	return []string{p.headers.idToken, p.headers.userInfo, p.headers.session}
}

// Generated is the path of the file for filter and sidecar.
func (p *Portal) Generated() string { return p.path }

// ParseKongConf is what ReadKongConf reads.
var ParseKongConf = parseKongConf
