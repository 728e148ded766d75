package declarative

// registrationFields are the fields of application-registration, whose schema is that of Kong 3.9, the last to have it.
var registrationFields = []row{
	{"auto_approve", Refused, "", "the plugin comes with the portal: until then bind applications by hand, with consumer_claims and acl", ""},
	{"description", Refused, "", "the plugin comes with the portal: until then bind applications by hand, with consumer_claims and acl", ""},
	{"display_name", Refused, "", "the plugin comes with the portal: until then bind applications by hand, with consumer_claims and acl", ""},
	{"enable_proxy_with_consumer_credential", Refused, "", "the plugin comes with the portal: until then bind applications by hand, with consumer_claims and acl", ""},
	{"show_issuer", Refused, "", "the plugin comes with the portal: until then bind applications by hand, with consumer_claims and acl", ""},
}
