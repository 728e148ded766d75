package declarative

// keyAuthFields are the fields of key-auth.
var keyAuthFields = []row{
	{"anonymous", Refused, "", "the plugin is not supported yet: use jwt, or openid-connect", ""},
	{"hide_credentials", Refused, "", "the plugin is not supported yet: use jwt, or openid-connect", ""},
	{"identity_realms", Refused, "", "the plugin is not supported yet: use jwt, or openid-connect", ""},
	{"key_in_body", Refused, "", "the plugin is not supported yet: use jwt, or openid-connect", ""},
	{"key_in_header", Refused, "", "the plugin is not supported yet: use jwt, or openid-connect", ""},
	{"key_in_query", Refused, "", "the plugin is not supported yet: use jwt, or openid-connect", ""},
	{"key_names", Refused, "", "the plugin is not supported yet: use jwt, or openid-connect", ""},
	{"principals", Refused, "", "the plugin is not supported yet: use jwt, or openid-connect", ""},
	{"realm", Refused, "", "the plugin is not supported yet: use jwt, or openid-connect", ""},
	{"run_on_preflight", Refused, "", "the plugin is not supported yet: use jwt, or openid-connect", ""},
}

// basicAuthFields are the fields of basic-auth.
var basicAuthFields = []row{
	{"anonymous", Refused, "", "the plugin is not supported yet: use jwt, or openid-connect", ""},
	{"brute_force_protection", Refused, "", "the plugin is not supported yet: use jwt, or openid-connect", ""},
	{"hide_credentials", Refused, "", "the plugin is not supported yet: use jwt, or openid-connect", ""},
	{"principals", Refused, "", "the plugin is not supported yet: use jwt, or openid-connect", ""},
	{"realm", Refused, "", "the plugin is not supported yet: use jwt, or openid-connect", ""},
}
