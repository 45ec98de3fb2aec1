package identity_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/identity"
)

// holds decides one condition: the request carries the values of the key k:ey,
// or does not carry it when there are none.
func holds(t *testing.T, op, policyValues string, values ...string) identity.Outcome {
	t.Helper()
	list := `["` + strings.ReplaceAll(policyValues, "|", `","`) + `"]`
	c := stackCase{id: []string{pol(st("Allow", "s3:*", "*", fmt.Sprintf(`"Condition":{%q:{"k:ey":%s}}`, op, list)))}}
	if values != nil {
		c.ctx = map[string][]string{"K:EY": values} // keys in any case
	}
	r, s := c.build(t)
	d, err := identity.Evaluate(r, s)
	if err != nil {
		t.Fatal(err)
	}
	if p := plainEvaluate(r, s); p != d.Outcome {
		t.Errorf("%s %s %q: the plain evaluator says %s, the engine %s", op, policyValues, values, p, d.Outcome)
	}
	return d.Outcome
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
func TestConditionOperators(t *testing.T) {
	for _, c := range []struct {
		op, policy string
		value      string // "-" for none
		want       bool
	}{
		{"StringEquals", "a|b", "b", true}, {"StringEquals", "a", "A", false}, {"StringEquals", "a*", "ab", false}, {"StringEquals", "a", "-", false},
		{"stringequals", "a", "a", true},
		{"StringNotEquals", "a|b", "b", false}, {"StringNotEquals", "a|b", "c", true}, {"StringNotEquals", "a", "-", true},
		{"StringEqualsIgnoreCase", "aB", "Ab", true}, {"StringNotEqualsIgnoreCase", "aB", "Ab", false},
		{"StringLike", "a*|?c", "bc", true}, {"StringLike", "a*", "Ab", false}, {"StringLike", "*", "-", false},
		{"StringNotLike", "a*", "ab", false}, {"StringNotLike", "a*", "-", true},

		{"NumericEquals", "10", "10.0", true}, {"NumericEquals", "10", "010", true}, {"NumericEquals", "-0", "0", true}, {"NumericEquals", "10", "ten", false},
		{"NumericNotEquals", "10", "11", true}, {"NumericNotEquals", "10", "-", true},
		{"NumericLessThan", "2.5", "2.49", true}, {"NumericLessThan", "10", "9", true}, {"NumericLessThan", "-1", "-2", true}, {"NumericLessThan", "10", "10", false},
		{"NumericLessThanEquals", "3600", "3600", true}, {"NumericGreaterThan", "9007199254740992", "9007199254740993", true},
		{"NumericGreaterThanEquals", "1e3", "1000", true}, {"NumericGreaterThan", "5", "-", false},

		{"DateEquals", "2024-06-30T00:00:00Z", "2024-06-30T02:00:00+02:00", true}, {"DateEquals", "2024-06-30T00:00:00Z", "1719705600", true},
		{"DateNotEquals", "2024-06-30", "2024-06-30T00:00:00Z", false}, {"DateNotEquals", "2024-06-30", "-", true},
		{"DateLessThan", "2024-06-30T12:00Z", "2024-06-30T11:59:59Z", true}, {"DateLessThanEquals", "2024-07", "2024-07-01T00:00:00Z", true},
		{"DateGreaterThan", "2024", "2024-01-01T00:00:01Z", true}, {"DateGreaterThanEquals", "1719705600", "2024-06-29T23:59:59Z", false},
		{"DateGreaterThan", "2024-06-30", "tomorrow", false},

		{"Bool", "true", "TRUE", true}, {"Bool", "False", "false", true}, {"Bool", "true", "false", false}, {"Bool", "true", "-", false}, {"Bool", "false", "-", false}, {"Bool", "yes", "yes", false},

		{"BinaryEquals", "QmluYXJ5VmFsdWVJbkJhc2U2NA==", "QmluYXJ5VmFsdWVJbkJhc2U2NA==", true}, {"BinaryEquals", "QUE=", "QUI=", false}, {"BinaryEquals", "not base 64", "not base 64", false},

		{"IpAddress", "203.0.113.0/24", "203.0.113.77", true}, {"IpAddress", "203.0.113.7", "203.0.113.7", true}, {"IpAddress", "203.0.113.7", "203.0.113.8", false},
		{"IpAddress", "203.0.113.9/24", "203.0.113.77", true}, {"IpAddress", "2001:DB8:1234:5678::/64", "2001:db8:1234:5678::1", true}, {"IpAddress", "2001:db8::/32", "203.0.113.7", false},
		{"IpAddress", "203.0.113.0/24", "::ffff:203.0.113.7", true}, {"IpAddress", "203.0.113.0/24", "vpce.amazonaws.com", false}, {"IpAddress", "0.0.0.0/0", "-", false},
		{"NotIpAddress", "203.0.113.0/24", "198.51.100.1", true}, {"NotIpAddress", "203.0.113.0/24", "203.0.113.1", false}, {"NotIpAddress", "203.0.113.0/24", "-", true},

		{"ArnEquals", "arn:aws:sns:*:111122223333:t*", "arn:aws:sns:eu-west-1:111122223333:topic", true}, {"ArnLike", "arn:aws:sns:*:topic", "arn:aws:sns:eu-west-1:111122223333:topic", false},
		{"ArnLike", "arn:aws:iam::111122223333:role/*", "arn:aws:iam::111122223333:role/a/b", true}, {"ArnLike", "arn:aws:iam::111122223333:role/*", "role/a", false},
		{"ArnLike", "*", "arn:aws:iam::111122223333:role/a", true}, {"ArnLike", "arn:aws:s3:::B", "arn:aws:s3:::b", false},
		{"ArnNotEquals", "arn:aws:s3:::b", "arn:aws:s3:::c", true}, {"ArnNotLike", "arn:aws:s3:::*", "arn:aws:s3:::c", false}, {"ArnNotLike", "arn:aws:s3:::*", "-", true},

		{"Null", "true", "-", true}, {"Null", "true", "x", false}, {"Null", "false", "x", true}, {"Null", "false", "-", false}, {"Null", "true|false", "x", true},

		// IfExists: an absent key makes the condition true.
		{"StringEqualsIfExists", "a", "-", true}, {"StringEqualsIfExists", "a", "b", false}, {"NumericLessThanIfExists", "5", "-", true}, {"BoolIfExists", "true", "-", true}, {"IpAddressIfExists", "203.0.113.0/24", "-", true}, {"ArnLikeIfExists", "arn:aws:s3:::x", "-", true}, {"StringNotEqualsIfExists", "a", "a", false},
	} {
		var values []string
		if c.value != "-" {
			values = []string{c.value}
		}
		want := implicit
		if c.want {
			want = allowed
		}
		if got := holds(t, c.op, c.policy, values...); got != want {
			t.Errorf("%s %s with %s: %s", c.op, c.policy, c.value, got)
		}
	}
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
func TestSetOperators(t *testing.T) {
	for _, c := range []struct {
		op, policy string
		values     []string
		want       bool
	}{
		{"ForAllValues:StringEquals", "a|b", []string{"a"}, true},
		{"ForAllValues:StringEquals", "a|b", []string{"a", "b"}, true},
		{"ForAllValues:StringEquals", "a|b", []string{"a", "c"}, false},
		{"ForAllValues:StringEquals", "a|b", nil, true},          // absent
		{"ForAllValues:StringEquals", "a|b", []string{}, true},   // no values
		{"ForAllValues:StringEquals", "a|b", []string{""}, true}, // a null data set
		{"ForAllValues:StringNotEquals", "a", []string{"b", "c"}, true},
		{"ForAllValues:StringNotEquals", "a", []string{"b", "a"}, false},
		{"ForAllValues:StringLike", "x-*", []string{"x-1", "x-2"}, true},
		{"ForAnyValue:StringEquals", "a|b", []string{"c", "b"}, true},
		{"ForAnyValue:StringEquals", "a|b", []string{"c"}, false},
		{"ForAnyValue:StringEquals", "a|b", nil, false},
		{"ForAnyValue:StringEquals", "a|b", []string{}, false},
		{"ForAnyValue:StringNotEquals", "a", []string{"a", "b"}, true},
		{"ForAnyValue:StringNotEquals", "a", []string{"a"}, false},
		{"ForAnyValue:StringNotEquals", "a", nil, false},
		{"ForAnyValue:StringEqualsIfExists", "a", nil, true},
		{"ForAllValues:ArnLike", "arn:aws:iam::*:role/x", []string{"arn:aws:iam::111122223333:role/x"}, true},
		{"ForAnyValue:NumericLessThan", "5", []string{"7", "3"}, true},
		// Several values without a set operator.
		{"StringEquals", "a", []string{"b", "a"}, true},
		{"StringNotEquals", "a", []string{"b", "a"}, false},
		{"StringEquals", "a", []string{}, false},
		{"Null", "true", []string{}, true},
	} {
		want := implicit
		if c.want {
			want = allowed
		}
		if got := holds(t, c.op, c.policy, c.values...); got != want {
			t.Errorf("%s %s with %q: %s", c.op, c.policy, c.values, got)
		}
	}
}

// Several keys and operators are joined with and, several values with or.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-logic-multiple-context-keys-or-values.html
func TestConditionsAreJoined(t *testing.T) {
	two := `"Condition":{"StringEquals":{"a:x":["1","2"],"a:y":"3"},"Bool":{"aws:SecureTransport":true}}`
	runCases(t, []stackCase{
		{why: "all hold", id: []string{pol(st("Allow", "s3:*", "*", two))}, ctx: map[string][]string{"a:x": {"2"}, "a:y": {"3"}, "aws:SecureTransport": {"true"}}, want: allowed},
		{why: "one key fails", id: []string{pol(st("Allow", "s3:*", "*", two))}, ctx: map[string][]string{"a:x": {"2"}, "a:y": {"4"}, "aws:SecureTransport": {"true"}}, want: implicit},
		{why: "one operator fails", id: []string{pol(st("Allow", "s3:*", "*", two))}, ctx: map[string][]string{"a:x": {"2"}, "a:y": {"3"}, "aws:SecureTransport": {"false"}}, want: implicit},
		{why: "tag keys in any case", id: []string{pol(st("Allow", "s3:*", "*", when("StringEquals", "aws:ResourceTag/CostCenter", "x")))}, ctx: map[string][]string{"aws:resourcetag/costcenter": {"x"}}, want: allowed},
	})
}

func TestParseOperator(t *testing.T) {
	for in, want := range map[string]string{
		"foranyvalue:stringlikeifexists": "ForAnyValue:StringLikeIfExists", "ARNLIKE": "ArnLike", "Null": "Null",
		"ForSomeValues:StringLike": "", "ForAllValues:Null": "ForAllValues:Null", "ForAllValues:NullIfExists": "", "StringMatches": "", "IfExists": "", "": "",
	} {
		op, ok := identity.ParseOperator(in)
		if ok != (want != "") || ok && op.String() != want {
			t.Errorf("ParseOperator(%q) = %s, %v", in, op, ok)
		}
	}
}
