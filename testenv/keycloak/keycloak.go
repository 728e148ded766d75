// Package keycloak runs a real Keycloak for tests, with realms that are imported
// at its start and a database that is forgotten at its end. install.sh installs it.
package keycloak

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
)

// Version is the one that install.sh installs.
const Version = "26.4.0"

const discoveryPath = "/.well-known/openid-configuration"

// Server is a running Keycloak. Everybody reaches it through a proxy that counts.
type Server struct {
	URL string // http://host:port, which issuers begin with

	home    string // of this run: the installation's files, data of its own
	direct  *url.URL
	process *testenv.Process
	runs    int

	mu    sync.Mutex             // guards asked and calls
	asked map[string]int         // path → requests
	calls map[string][]TokenCall // path → requests for tokens
}

// Path returns the folder of the installation, skipping the test where there is
// none.
func Path(t testing.TB) string {
	t.Helper()
	home := filepath.Join(testenv.Root(), ".tools", "keycloak-"+Version)
	if _, err := os.Stat(filepath.Join(home, "ok")); err != nil {
		testenv.Missing(t, "Keycloak %s is not installed: run testenv/keycloak/install.sh .tools", Version)
	}
	if _, err := exec.LookPath("java"); err != nil {
		testenv.Missing(t, "Keycloak needs java: run testenv/keycloak/install.sh .tools")
	}
	return home
}

// Start starts Keycloak with the given realms and waits until it serves them.
func Start(t testing.TB, realms map[string][]byte) *Server {
	t.Helper()
	installed := Path(t)
	s := &Server{home: testenv.TempDir(t), asked: map[string]int{}, calls: map[string][]TokenCall{}}
	for _, name := range []string{"lib", "conf", "providers", "themes"} {
		if err := os.Symlink(filepath.Join(installed, name), filepath.Join(s.home, name)); err != nil {
			t.Fatal(err)
		}
	}
	imports := filepath.Join(s.home, "data", "import")
	if err := os.MkdirAll(imports, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, realm := range realms {
		if err := os.WriteFile(filepath.Join(imports, name+".json"), realm, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.direct = &url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))}
	if err := os.MkdirAll(filepath.Join(testenv.Root(), "build", "test"), 0o755); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(s.front())
	t.Cleanup(front.Close)
	s.URL = front.URL
	s.Run(t)
	for name := range realms {
		if !testenv.OK(s.Issuer(name) + discoveryPath) {
			t.Fatalf("Keycloak does not have the realm %s: %s", name, s.process.Tail())
		}
	}
	return s
}

// front is the counting proxy. It keeps the host, by which Keycloak is known.
func (s *Server) front() http.Handler {
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(s.direct)
		r.Out.Host = r.In.Host
	}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked[r.URL.Path]++
		s.mu.Unlock()
		s.note(r)
		proxy.ServeHTTP(w, r)
	})
}

// Run starts the process, again after Stop: the realms are imported anew, and
// their keys are others.
//
// It is java that is started, with what bin/kc.sh would start it with. The script
// stays in between and does not hand signals on: to end it would leave Keycloak
// running.
func (s *Server) Run(t testing.TB) {
	t.Helper()
	management := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	args := []string{
		"-Xms128m", "-Xmx512m", "-XX:MaxMetaspaceSize=256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError",
		"-Dfile.encoding=UTF-8", "-Duser.language=en",
		"--add-opens=java.base/java.util=ALL-UNNAMED", "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
		"--add-opens=java.base/java.security=ALL-UNNAMED",
		"-Djava.util.concurrent.ForkJoinPool.common.threadFactory=io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
		"-Djava.util.logging.manager=org.jboss.logmanager.LogManager", "-Dpicocli.disable.closures=true",
		"-Dkc.home.dir=" + s.home, "-Djboss.server.config.dir=" + filepath.Join(s.home, "conf"),
		"-cp", filepath.Join(s.home, "lib", "quarkus-run.jar"), "io.quarkus.bootstrap.runner.QuarkusEntryPoint",
		"start", "--optimized", "--import-realm", "--cache=local", "--hostname=" + s.URL,
		"--http-enabled=true", "--http-host=127.0.0.1", "--http-port=" + s.direct.Port(),
		"--http-management-host=127.0.0.1", "--http-management-port=" + strings.TrimPrefix(management, "127.0.0.1:"),
	}
	s.process = testenv.Start(t, "Keycloak", "java", args,
		"KC_BOOTSTRAP_ADMIN_USERNAME="+admin, "KC_BOOTSTRAP_ADMIN_PASSWORD="+admin)
	s.runs++
	process, log := s.process, fmt.Sprintf("keycloak-%d.log", s.runs)
	t.Cleanup(func() { keepLog(t, log, process.Log()) })
	process.WaitReady(t, 3*time.Minute, func() bool {
		return testenv.OK("http://"+management+"/health/ready") && testenv.OK(s.direct.String()+"/realms/master"+discoveryPath)
	})
}

// keepLog leaves the log where it can be read after the run, and shows its end
// when the test has failed.
func keepLog(t testing.TB, name, log string) {
	path := filepath.Join(testenv.Root(), "build", "test", name)
	if err := os.WriteFile(path, []byte(log), 0o600); err != nil {
		t.Logf("the log of Keycloak is lost: %v", err)
	}
	if t.Failed() {
		t.Logf("the end of %s:\n%s", path, log[max(0, len(log)-4000):])
	}
}

// Stop ends Keycloak, and makes sure of it; the proxy answers 502 from then on.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.process.Stop()
	if testenv.OK(s.direct.String() + "/realms/master" + discoveryPath) {
		t.Fatal("Keycloak still answers")
	}
}

// Issuer returns the issuer of a realm.
func (s *Server) Issuer(realm string) string { return s.URL + "/realms/" + realm }

// KeysAsked returns how often the keys of a realm were asked for.
func (s *Server) KeysAsked(realm string) int {
	return s.count("/realms/" + realm + "/protocol/openid-connect/certs")
}

// Asked returns how often the metadata or the keys of a realm were asked for.
func (s *Server) Asked(realm string) int {
	return s.KeysAsked(realm) + s.count("/realms/"+realm+discoveryPath)
}

func (s *Server) count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[path]
}
