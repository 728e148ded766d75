package declarative

// aclFields are the fields of acl.
var aclFields = []row{
	{"allow", Differs, "", "a name with a comma is refused: upstreams read the header as a list", "conformance.TestGroups; vector acl, a group that is allowed; vector acl, no group that is allowed"},
	{"always_use_authenticated_groups", Same, "", "", "vector acl, the token's groups come first; vector acl, the consumer's groups come first"},
	{"blacklist", Refused, "", "the field is deny since Kong 2.1", ""},
	{"deny", Differs, "", "a name with a comma is refused: upstreams read the header as a list", "conformance.TestGroups; vector acl, a group that is denied"},
	{"hide_groups_header", Same, "", "", "conformance.TestGroups; vector acl, a group that is allowed and not told"},
	{"include_consumer_groups", Refused, "false", "consumer groups are an entity of Kong Enterprise: give consumers groups of their own, with acls", ""},
	{"whitelist", Refused, "", "the field is allow since Kong 2.1", ""},
}
