package declarative

// jwtFields are the fields of jwt.
var jwtFields = []row{
	{"accept_id_tokens", Ours, "", "ID tokens pass", "vector ID token where it is allowed by name"},
	{"algorithms", Ours, "", "which algorithms tokens may be signed with", "vector strict, an algorithm that the plugin does not allow"},
	{"anonymous", Differs, "", "our own trouble is 503 and never this consumer", "vector anonymous without a token; vector anonymous with a bad token"},
	{"audiences", Ours, "", "one of them has to be in aud", "vector strict, other audience, credential without"},
	{"claims_to_verify", Differs, "", "exp and nbf have to be integers", "vector exp missing; vector nbf is asked for and missing; vector strict, expired within the plugin's leeway but not the credential's"},
	{"cookie_names", Same, "", "", "vector cookie; vector cookie of another name"},
	{"header_names", Same, "", "", "vector another header; vector another header without the scheme is none"},
	{"issuers", Ours, "", "iss has to be one of them", "vector strict, other issuer, credential without"},
	{"key_claim_name", Same, "", "", "vector scheme in lower case; vector spoofed headers beside a good token"},
	{"leeway", Ours, "", "seconds, for exp and nbf", "vector strict, expired within the plugin's leeway, credential without"},
	{"maximum_expiration", Same, "", "", "vector lifetime within the maximum; vector lifetime beyond the maximum"},
	{"realm", Same, "", "", "vector no token, realm; vector bad token, realm"},
	{"run_on_preflight", Same, "", "", "vector preflight passes where it may; vector a GET is no preflight"},
	{"secret_is_base64", Same, "", "", "vector base64 secret; vector base64 secret taken literally"},
	{"uri_param_names", Differs, "", "none by default, where Kong looks at jwt: URLs end up in logs", "vector query parameter where it is configured"},
}
