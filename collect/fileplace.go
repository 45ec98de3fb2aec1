package collect

import (
	"strings"

	"github.com/bartizan-security/bartizan/arn"
)

// whose reads account and region from the ARNs and owner members of an item.
func whose(t *Type, doc map[string]any) (account, region string) {
	for _, name := range []string{"OwnerId", "ownerId", "OwnerAccountId", "AWSAccountId"} {
		if s, ok := doc[name].(string); ok && len(s) == 12 && account == "" {
			account = s
		}
	}
	if t.arn != "" && !strings.HasPrefix(t.arn, "arn:") {
		if s, err := (scope{doc: doc}).name(t.arn); err == nil {
			if a, err := arn.Parse(s); err == nil {
				if region = a.Region; strings.HasPrefix(a.Resource, "global/") {
					region = "" // as WAF names what is for CloudFront
				}
				if len(a.AccountID) == 12 {
					account = a.AccountID
				}
			}
		}
	}
	if region == "" {
		for _, p := range []path{{"AvailabilityZone"}, {"Placement", "AvailabilityZone"}} {
			if zone, ok := p.first(doc).(string); ok && len(zone) > 1 {
				region = zone[:len(zone)-1]
			}
		}
	}
	if t.Global && t.region == nil {
		region = ""
	}
	return account, region
}

// placeOf reads account and region from a file's path: 111111111111/eu-west-1/vpcs.json.
func placeOf(name string) (account, region string) {
	for _, part := range strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune("/_. ", r) }) {
		switch {
		case len(part) == 12 && strings.Trim(part, "0123456789") == "":
			account = part
		case isRegion(part):
			region = part
		}
	}
	return account, region
}

// isRegion reports whether a word has the shape of a region's name, eu-west-1.
func isRegion(s string) bool {
	parts := strings.Split(s, "-")
	last := len(parts) - 1
	if last < 2 || last > 3 || len(parts[0]) != 2 || len(parts[last]) != 1 || parts[last][0] < '1' || parts[last][0] > '9' {
		return false
	}
	for _, p := range parts[:last] {
		if p == "" || strings.Trim(p, "abcdefghijklmnopqrstuvwxyz") != "" {
			return false
		}
	}
	return true
}

// isGlobal reports whether an item of a regional type says that it is global.
func isGlobal(t *Type, doc map[string]any) bool {
	if t.arn == "" || strings.HasPrefix(t.arn, "arn:") {
		return false
	}
	s, _ := (scope{doc: doc}).name(t.arn)
	a, err := arn.Parse(s)
	return err == nil && strings.HasPrefix(a.Resource, "global/")
}

// squash makes names comparable: GetBucketPolicy, get-bucket-policy and
// get_bucket_policy are the same.
func squash(s string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "", ".", "", " ", "").Replace(s))
}

func kebab(op string) string {
	var b strings.Builder
	for i, c := range op {
		if c >= 'A' && c <= 'Z' {
			if i > 0 {
				b.WriteByte('-')
			}
			c += 'a' - 'A'
		}
		b.WriteRune(c)
	}
	return b.String()
}

func lastElement(s string) string { return s[strings.LastIndexAny(s, "/:")+1:] }

// hasElement reports whether a file's name holds an id, bounded by what is no
// part of a name.
func hasElement(name, id string) bool {
	for at := 0; ; {
		i := strings.Index(name[at:], id)
		if i < 0 {
			return false
		}
		i += at
		before := i == 0 || strings.ContainsRune("-_./ =@+", rune(name[i-1]))
		end := i + len(id)
		after := end == len(name) || strings.ContainsRune("-_./ =@+", rune(name[end]))
		if before && after {
			return true
		}
		at = i + 1
	}
}
