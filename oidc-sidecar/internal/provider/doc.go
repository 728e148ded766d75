// Package provider keeps the public keys of one issuer (or of one jwks_uri)
// current without letting anybody outside decide how often it is asked (D10):
//
//   - keys are refreshed in the background before they expire, and served stale
//     meanwhile, up to MaxStale;
//   - a kid that nobody has seen may cause a refresh, for which there are three
//     tokens, one new every twenty seconds; without a token the answer is
//     "throttled", which is our trouble and no verdict on the token;
//   - a kid that the issuer did not have is remembered for a while as unknown;
//   - requests to the issuer are single-flight, bounded in time and size, and
//     follow no redirect.
//
// A failed refresh never takes keys away. No keys at all is unavailable, never
// "accept".
package provider
