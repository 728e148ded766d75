package declarative

// keyAuthFields are the fields of key-auth.
var keyAuthFields = []row{
	{"anonymous", Differs, "", "our own trouble is 503 and never this consumer", "vector anonymous with an unknown key; vector anonymous without a key"},
	{"hide_credentials", Differs, "", "headers alone, in each spelling that an upstream may read; refused together with key_in_query, because a request's address is never edited", "vector key that is hidden"},
	{"identity_realms", Refused, "scope=cp", "realms are kept in Konnect: the keys are those of keyauth_credentials", ""},
	{"key_in_body", Refused, "false", "a body is never read: have clients send the key in a header", ""},
	{"key_in_header", Same, "", "", "vector header where only the query is looked at"},
	{"key_in_query", Differs, "", "false unless it is set: what comes in the query ends up in logs, histories and referrers", "vector key in the query"},
	{"key_names", Differs, "", "a key twice, or under two names, is refused; a header that only looks like one of the names, too", "vector second name; vector a key under both names"},
	{"principals", Refused, principalsOff, "principals are kept in Kong Identity: use consumers", ""},
	{"realm", Same, "", "", "vector no key, realm"},
	{"run_on_preflight", Same, "", "", "vector preflight without a key"},
}

// basicAuthFields are the fields of basic-auth.
var basicAuthFields = []row{
	{"anonymous", Differs, "", "our own trouble is 503 and never this consumer", "vector basic anonymous; vector basic anonymous with a wrong password"},
	{"brute_force_protection", Refused, "strategy=off " + redisOff, "how many passwords are tried at a time is bounded: limit the rate of requests in front of the gateway", ""},
	{"hide_credentials", Same, "", "", "vector basic that is hidden"},
	{"principals", Refused, principalsOff, "principals are kept in Kong Identity: use consumers", ""},
	{"realm", Same, "", "", "vector no user name and password, realm"},
	{"run_on_preflight", Ours, "", "false lets OPTIONS pass", "vector basic preflight"},
}
