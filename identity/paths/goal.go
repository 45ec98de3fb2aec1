package paths

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/identity/catalog"
	"github.com/bartizan-security/bartizan/identity/inventory"
)

// Goal is what paths lead to: an administrator, or a resource.
type Goal struct {
	Resource string   `json:"resource,omitempty"` // "": an administrator. The ARN of a user or role: to become it
	Actions  []string `json:"actions,omitempty"`  // on the resource; none: all that read or write it
}

// ErrGoal is wrapped by every error about a goal.
var ErrGoal = errors.New("no such goal")

// sentinels are calls on things that no policy names. Whoever may make all of
// them in an account, in some region, is an administrator of it.
var sentinels = []struct{ action, resource string }{
	{"iam:CreatePolicyVersion", "arn:{partition}:iam::{account}:policy/bartizan-sentinel"},
	{"iam:AttachRolePolicy", "arn:{partition}:iam::{account}:role/bartizan-sentinel"},
	{"iam:UpdateAssumeRolePolicy", "arn:{partition}:iam::{account}:role/bartizan-sentinel"},
	{"iam:PutUserPolicy", "arn:{partition}:iam::{account}:user/bartizan-sentinel"},
	{"iam:CreateAccessKey", "arn:{partition}:iam::{account}:user/bartizan-sentinel"},
	{"iam:PassRole", "arn:{partition}:iam::{account}:role/bartizan-sentinel"},
	{"s3:GetObject", "arn:{partition}:s3:::bartizan-sentinel/bartizan-sentinel"},
	{"s3:DeleteObject", "arn:{partition}:s3:::bartizan-sentinel/bartizan-sentinel"},
	{"secretsmanager:GetSecretValue", "arn:{partition}:secretsmanager:{region}:{account}:secret:bartizan-sentinel-AbCdEf"},
	{"dynamodb:DeleteTable", "arn:{partition}:dynamodb:{region}:{account}:table/bartizan-sentinel"},
	{"ec2:TerminateInstances", "arn:{partition}:ec2:{region}:{account}:instance/i-0ba47124005e471e1"},
	{"lambda:UpdateFunctionCode", "arn:{partition}:lambda:{region}:{account}:function:bartizan-sentinel"},
}

type goal struct {
	Goal
	principal *inventory.Principal // that is to be become
	asked     []question
}

// newGoal checks a goal and finds the actions of its resource.
func newGoal(inv *inventory.Inventory, g *Goal) (*goal, error) {
	out := &goal{Goal: *g}
	if p, ok := inv.Principal(g.Resource); ok && len(g.Actions) == 0 && p.Kind != inventory.Root {
		out.principal = p
		return out, nil
	}
	if g.Resource == "" {
		if len(g.Actions) > 0 {
			return nil, fmt.Errorf("%w: actions need a resource", ErrGoal)
		}
		return out, nil
	}
	names := g.Actions
	if len(names) == 0 {
		names = actionsOn(g.Resource)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: no action of the catalogue reads or writes %s; give the actions", ErrGoal, g.Resource)
	}
	for _, name := range names {
		if service, action, ok := strings.Cut(name, ":"); !ok || service == "" || action == "" || strings.ContainsAny(name, "*?") {
			return nil, fmt.Errorf("%w: action %q: want one such as s3:GetObject", ErrGoal, name)
		}
		q := question{action: name, resource: g.Resource, region: regionOf(g.Resource)}
		if a, ok := catalog.Default().Action(name); ok && bucketOnly(g.Resource) && !takes(a, g.Resource) {
			q.resource += "/*"
		}
		out.asked = append(out.asked, q)
	}
	return out, nil
}

// bucketOnly reports whether an ARN names an S3 bucket; its objects count, too.
func bucketOnly(resource string) bool {
	f := strings.SplitN(resource, ":", 6)
	return len(f) == 6 && f[2] == "s3" && f[4] == "" && !strings.Contains(f[5], "/")
}

func takes(a *catalog.Action, resource string) bool {
	return slices.ContainsFunc(catalog.Default().ResourceTypesOf(a), func(t *catalog.ResourceType) bool { return catalog.MatchARN(resource, t) })
}

// actionsOn lists the catalogue's actions that read or write a resource, not
// those that only list or tag it.
func actionsOn(resource string) []string {
	f := strings.SplitN(resource, ":", 6)
	if len(f) != 6 {
		return nil
	}
	service, ok := catalog.Default().Service(f[2])
	if !ok {
		return nil
	}
	var out []string
	for _, a := range service.Actions {
		if a.Level == catalog.List || a.Level == catalog.Tagging || a.WildcardOnly() {
			continue
		}
		if takes(a, resource) || bucketOnly(resource) && takes(a, resource+"/*") {
			out = append(out, a.String())
		}
	}
	return out
}

// reached reports whether a class is at the goal, and on what that depends.
func (g *goal) reached(w *world, c *class) (verdict, []string) {
	n := c.rep
	if g.Resource == "" {
		return w.isAdmin(n, c)
	}
	if g.principal != nil {
		return not, nil // see atGoal
	}
	best := not
	var why []string
	for _, q := range g.asked {
		q.tagged = w.index.ARN(g.Resource) != nil
		if r := w.index.ARN(g.Resource); r != nil {
			q.tags = r.Tags
		}
		s := w.askClass(n, c, q)
		if s.verdict > best {
			best, why = s.verdict, s.missing
		}
		if best == certain {
			return certain, nil
		}
	}
	return best, why
}

// atGoal is how surely a node is at the goal.
func (w *world) atGoal(n *node) verdict {
	if w.goal.principal != nil {
		return sure(w.goal.principal == n.p)
	}
	return n.class.goal
}

func (w *world) isAdmin(n *node, c *class) (verdict, []string) {
	a := w.account(n.p.Account)
	best := not
	var why []string
	for _, region := range w.regionsOf(c, a) {
		v := certain
		var missing []string
		for _, s := range sentinels {
			resource := expand(s.resource, map[string]string{"partition": a.partition, "region": region, "account": a.id})
			q := question{action: s.action, resource: resource, region: region, tagged: true}
			if strings.HasPrefix(s.action, "iam:") {
				q.region = homeRegion(a.partition)
				q.context = map[string][]string{"iam:PermissionsBoundary": nil}
			}
			got := w.askClass(n, c, q)
			v = min(v, got.verdict)
			missing = append(missing, got.missing...)
			if v == not {
				break
			}
		}
		if v > best {
			slices.Sort(missing)
			best, why = v, slices.Compact(missing)
		}
		if best == certain {
			return best, nil
		}
	}
	return best, why
}

func (w *world) regionsOf(c *class, a *account) []string {
	c.rep.class = c
	return w.regionsFor(c.rep, map[string]string{})
}

// askClass is ask for a class that is about to get its first node.
func (w *world) askClass(n *node, c *class, q question) *step {
	n.class = c
	return w.ask(n, q)
}
