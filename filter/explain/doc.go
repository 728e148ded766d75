// Package explain runs the filter's machine natively on one request and says what it
// did: the route, each plugin of the chain with its checks, the questions that the
// sidecar was asked, the decision, and what becomes of the request.
//
// The machine is not told that it is watched. It is run once for the decision, and
// then once more for each plugin alone, with the answers of the first run: whether a
// plugin accepts does not depend on the others, only whether it is asked at all.
// Which check of a plugin failed follows from the reason, since their order is fixed
// (policy/jwt.go, policy/oidc.go).
//
// A Trace holds no token, no cookie and no secret: they are taken out before Run
// returns. Of a token it has a fingerprint, alg, kid, iss and exp.
//
// It is never linked into the module.
package explain
