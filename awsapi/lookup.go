package awsapi

import (
	_ "embed"
	"fmt"
	"sort"
	"strings"
	"sync"

	"github.com/bartizan-security/bartizan/awsapi/model"
)

//go:embed models.bin
var models []byte

// catalogue opens the embedded models on first use.
var catalogue = sync.OnceValues(func() (*model.Catalogue, error) { return model.Open(models) })

// names maps every spelling of a service's name to the one it is kept under.
var names = sync.OnceValues(func() (map[string]string, error) {
	c, err := catalogue()
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	ambiguous := map[string]bool{}
	for round, key := range []func(model.Entry) string{
		func(e model.Entry) string { return e.Name },
		func(e model.Entry) string { return e.ID },
		func(e model.Entry) string { return e.FullName },
		func(e model.Entry) string { return e.SigningName },
		func(e model.Entry) string { return e.EndpointPrefix },
	} {
		seen := map[string]string{}
		for _, e := range c.Entries() {
			k := plain(key(e))
			if _, taken := out[k]; taken {
				continue
			}
			if other, twice := seen[k]; twice && other != e.Name {
				ambiguous[k] = true
			}
			seen[k] = e.Name
		}
		for k, n := range seen {
			if !ambiguous[k] || round < 2 {
				out[k] = n
			}
		}
	}
	for alias, name := range aliases {
		if _, taken := out[alias]; !taken {
			out[alias] = name
		}
	}
	return out, nil
})

// aliases are names in use that follow from none of a service's own: the AWS
// CLI's, and those of Step Functions' SDK integrations.
var aliases = map[string]string{
	"s3api": "s3", "deploy": "codedeploy", "configservice": "config", "stepfunction": "stepfunctions",
	"elb": "elb", "elasticloadbalancing": "elb", "alb": "elbv2", "cloudwatchevents": "events", "wafregional": "waf-regional",
	"cognitoidentityprovider": "cognito-idp", "opensearchservice": "opensearch", "elasticsearch": "es", "directory": "ds",
	"applicationautoscaling": "application-autoscaling", "ssoadmin": "sso-admin", "iamidentitycenter": "sso-admin", "securityhubv2": "securityhub",
	"costexplorer": "ce", "systemsmanager": "ssm", "simpledb": "sdb", "msk": "kafka", "databasemigration": "dms", "lex": "lex-models",
}

// plain drops everything but letters and digits.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return -1
	}, name)
}

// Services returns what is known of every service, ordered by name, without
// reading their models.
func Services() ([]model.Entry, error) {
	c, err := catalogue()
	if err != nil {
		return nil, err
	}
	return c.Entries(), nil
}

// ModelSource says which release the service models were taken from.
func ModelSource() (model.Source, error) {
	c, err := catalogue()
	if err != nil {
		return model.Source{}, err
	}
	return c.Source(), nil
}

// Partitions returns AWS's partitions with their regions.
func Partitions() ([]model.Partition, error) {
	c, err := catalogue()
	if err != nil {
		return nil, err
	}
	return c.Partitions(), nil
}

// PartitionOf returns the partition a region belongs to; regions nobody knows
// yet are taken for the main partition's, "aws".
func PartitionOf(region string) (model.Partition, error) {
	list, err := Partitions()
	if err != nil {
		return model.Partition{}, err
	}
	for i := range list {
		if list[i].Matches(region) {
			return list[i], nil
		}
	}
	return list[0], nil
}

// UnknownError says that there is no service or operation of a name, and which
// names come close.
type UnknownError struct {
	What, Name string   // "service", "ec3"
	Near       []string // best first
}

func (e *UnknownError) Error() string {
	if len(e.Near) == 0 {
		return fmt.Sprintf("there is no AWS %s %q", e.What, e.Name)
	}
	return fmt.Sprintf("there is no AWS %s %q; did you mean %s?", e.What, e.Name, strings.Join(e.Near, ", "))
}

// Lookup finds a service under any of its names: the AWS CLI's and boto3's
// (logs, stepfunctions), the service id and Step Functions' spelling of it
// (cloudwatchlogs, sfn), or its full name, in any letter case.
func Lookup(service string) (*model.Service, error) {
	c, err := catalogue()
	if err != nil {
		return nil, err
	}
	if s, err := c.Service(service); s != nil || err != nil {
		return s, err
	}
	known, err := names()
	if err != nil {
		return nil, err
	}
	if name, ok := known[plain(service)]; ok {
		return c.Service(name)
	}
	var all []string
	for _, e := range c.Entries() {
		all = append(all, e.Name)
	}
	return nil, &UnknownError{What: "service", Name: service, Near: nearest(service, all)}
}

// LookupOperation finds an operation of a service in any spelling:
// DescribeInstances, describeInstances, describe-instances, describe_instances.
func LookupOperation(service, operation string) (*model.Operation, error) {
	s, err := Lookup(service)
	if err != nil {
		return nil, err
	}
	if op := s.Operation(operation); op != nil {
		return op, nil
	}
	if op := s.Operation(plain(operation)); op != nil {
		return op, nil
	}
	var all []string
	for _, op := range s.Operations {
		if plain(op.Name) == plain(operation) {
			return op, nil
		}
		all = append(all, op.Name)
	}
	return nil, &UnknownError{What: s.Name + " operation", Name: operation, Near: nearest(operation, all)}
}

// nearest returns up to three names that few edits turn into the wanted one.
func nearest(wanted string, all []string) []string {
	type candidate struct {
		name     string
		distance int
	}
	w := plain(wanted)
	if len(w) > 100 {
		return nil
	}
	limit := max(2, len(w)/3)
	var close []candidate
	for _, name := range all {
		n := plain(name)
		d := distance(w, n)
		if d > limit && len(w) >= 3 && strings.Contains(n, w) {
			d = limit
		}
		if d <= limit {
			close = append(close, candidate{name, d})
		}
	}
	sort.SliceStable(close, func(i, j int) bool { return close[i].distance < close[j].distance })
	var out []string
	for i := 0; i < len(close) && i < 3 && close[i].distance <= close[0].distance+2; i++ {
		out = append(out, close[i].name)
	}
	return out
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
