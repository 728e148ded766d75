package registry

// Status is how far a developer or a contract is. The zero Status is none: it is never
// stored, and in a filter it means any.
type Status int

// Developers and contracts have the same statuses.
type (
	DeveloperStatus = Status
	ContractStatus  = Status
)

// The statuses.
const (
	Approved Status = iota + 1
	Requested
	Rejected
	Revoked
)

var statuses = [...]string{Approved: "approved", Requested: "requested", Rejected: "rejected", Revoked: "revoked"}

// String returns the status in a word, "" for none.
func (s Status) String() string {
	if s < 0 || int(s) >= len(statuses) {
		return ""
	}
	return statuses[s]
}

// Number returns Kong's number: 0 approved, 1 requested, 2 rejected, 3 revoked; -1 for none.
func (s Status) Number() int {
	if s.String() == "" {
		return -1
	}
	return int(s) - 1
}

// StatusOf returns the status with one of Kong's numbers, the zero Status for others.
func StatusOf(number int) Status {
	if s := Status(number + 1); number >= 0 && s.String() != "" {
		return s
	}
	return 0
}

// ParseStatus returns the status with a word, the zero Status for others.
func ParseStatus(word string) Status {
	for s, name := range statuses {
		if name == word && word != "" {
			return Status(s)
		}
	}
	return 0
}

// first returns the status of what is asked for.
func first(autoApprove bool) Status {
	if autoApprove {
		return Approved
	}
	return Requested
}
