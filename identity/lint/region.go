package lint

import (
	"strings"

	"github.com/bartizan-security/bartizan/internal/glob"
)

// partitions lists the partitions with their Regions, as botocore's
// partitions.json (1.44.5) does.
var partitions = map[string][]string{
	"aws": strings.Fields(`af-south-1 ap-east-1 ap-east-2 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2
		ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-6 ap-southeast-7
		ca-central-1 ca-west-1 eu-central-1 eu-central-2 eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3
		il-central-1 me-central-1 me-south-1 me-west-1 mx-central-1 sa-east-1 sa-west-1 us-east-1 us-east-2 us-west-1 us-west-2`),
	"aws-cn":     {"cn-north-1", "cn-northwest-1"},
	"aws-us-gov": {"us-gov-east-1", "us-gov-west-1"},
	"aws-iso":    {"us-iso-east-1", "us-iso-west-1"},
	"aws-iso-b":  {"us-isob-east-1", "us-isob-west-1"},
	"aws-iso-e":  {"eu-isoe-west-1"},
	"aws-iso-f":  {"us-isof-east-1", "us-isof-south-1"},
	"aws-eusc":   {"eusc-de-east-1"},
}

// knownPartition reports whether the pattern names a partition.
func knownPartition(pattern string) bool {
	for p := range partitions {
		if matchOpen(pattern, p) {
			return true
		}
	}
	return false
}

// knownRegion reports whether the pattern names a Region of the partitions that
// the partition pattern names.
func knownRegion(partition, pattern string) bool {
	for p, regions := range partitions {
		if !matchOpen(partition, p) {
			continue
		}
		for _, r := range regions {
			if matchOpen(pattern, r) {
				return true
			}
		}
	}
	return false
}

// matchOpen matches a policy pattern whose variables may hold anything.
func matchOpen(pattern, s string) bool {
	if strings.Contains(pattern, "${") {
		return true
	}
	return glob.Match(pattern, s)
}
