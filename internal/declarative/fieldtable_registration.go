package declarative

// registrationFields are the fields of application-registration, whose schema is that of Kong 3.9, the last to have it.
var registrationFields = []row{
	{"auto_approve", Same, "", "", "conformance.TestApplications"},
	{"description", Differs, "", "at most 4 KiB", "conformance.TestApplications"},
	{"display_name", Differs, "", "at most 256 bytes, without control characters", "conformance.TestApplications"},
	{"enable_proxy_with_consumer_credential", Same, "", "", "vector application, a consumer where it may pass; vector application, the anonymous consumer beside consumers"},
	{"show_issuer", Same, "", "", "conformance.TestApplications"},
}
