package inventory

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/identity"
)

// organization is what the estate knows of AWS Organizations.
type organization struct {
	id         string
	management string
	parent     map[string]string // account or unit → unit or root
	attached   map[string][]*identity.Document
	member     map[string]bool // accounts seen as members
	broken     []string        // what could not be read
	seenTree   bool
	levels     map[string]*levels // by account
}

type levels struct {
	service, resource [][]*identity.Document
	paths             string
}

func (o *organization) start() {
	o.parent, o.attached, o.member = map[string]string{}, map[string][]*identity.Document{}, map[string]bool{}
	o.levels = map[string]*levels{}
}

// read takes what one account says of the organization; the management account
// says the most.
func (o *organization) read(l *loader, byType map[string][]*estate.Resource) {
	for _, r := range byType["AWS::Organizations::Organization"] {
		if o.id == "" {
			o.id, _ = r.Document["Id"].(string)
			o.management, _ = r.Document["MasterAccountId"].(string)
		}
	}
	for _, typ := range []string{"AWS::Organizations::OrganizationalUnit", "AWS::Organizations::Account"} {
		for _, r := range byType[typ] {
			o.seenTree = true
			if typ == "AWS::Organizations::Account" {
				o.member[r.ID] = true
			}
			parents, _ := r.Document["ListParents"].(map[string]any)
			for _, p := range objects(parents["Parents"]) {
				if id, ok := p["Id"].(string); ok {
					o.parent[r.ID] = id
				}
			}
		}
	}
	for _, r := range byType["AWS::Organizations::Policy"] {
		o.policy(l, r)
	}
}

func (o *organization) policy(l *loader, r *estate.Resource) {
	var layer identity.Layer
	typ, _ := r.Document["Type"].(string)
	switch typ {
	case "SERVICE_CONTROL_POLICY":
		layer = identity.ServiceControlPolicy
	case "RESOURCE_CONTROL_POLICY":
		layer = identity.ResourceControlPolicy
	default:
		return
	}
	name, _ := r.Document["Name"].(string)
	described, _ := r.Document["DescribePolicy"].(map[string]any)
	policy, _ := described["Policy"].(map[string]any)
	doc, err := l.compile(policy["Content"], layer, name)
	if err != nil {
		o.broken = append(o.broken, fmt.Sprintf("the control policy %s: %v", name, err))
		return
	}
	targets, _ := r.Document["ListTargetsForPolicy"].(map[string]any)
	for _, t := range objects(targets["Targets"]) {
		if id, ok := t["TargetId"].(string); ok {
			o.attached[id] = append(o.attached[id], doc)
		}
	}
}

// finish computes the levels of every account.
func (o *organization) finish() {
	for account := range o.member {
		var chain []string
		for id := account; id != "" && len(chain) < 16; id = o.parent[id] {
			chain = append(chain, id)
		}
		slices.Reverse(chain)
		lv := &levels{}
		for _, id := range chain {
			var scp, rcp []*identity.Document
			for _, d := range o.attached[id] {
				if d.Layer == identity.ServiceControlPolicy {
					scp = append(scp, d)
				} else {
					rcp = append(rcp, d)
				}
			}
			if len(scp) > 0 {
				lv.service = append(lv.service, scp)
			}
			if len(rcp) > 0 {
				lv.resource = append(lv.resource, rcp)
			}
		}
		if len(chain) > 1 {
			lv.paths = o.id
			for _, id := range chain[:len(chain)-1] {
				lv.paths += "/" + id
			}
			lv.paths += "/"
		}
		o.levels[account] = lv
	}
}

// OrganizationID returns the organization's id, or "".
func (inv *Inventory) OrganizationID() string { return inv.org.id }

// ManagementAccount returns the organization's management account, or "".
func (inv *Inventory) ManagementAccount() string { return inv.org.management }

// Member reports whether an account is known to be in the organization, or in
// the estate where there is none.
func (inv *Inventory) Member(account string) bool {
	if inv.org.member[account] || account == inv.org.management && account != "" {
		return true
	}
	_, found := slices.BinarySearch(inv.Accounts, account)
	return found
}

// Members returns the accounts that the organization says it has, sorted.
func (inv *Inventory) Members() []string { return slices.Sorted(maps.Keys(inv.org.member)) }

// controlMissing says why the control policies of an account are not known; ""
// means that they are.
func (inv *Inventory) controlMissing(account string) string {
	if account == inv.org.management && account != "" {
		return ""
	}
	for _, g := range inv.Missing {
		switch {
		case !strings.HasPrefix(g.Type, "AWS::Organizations::"):
		case inv.org.id == "" && g.Type == "AWS::Organizations::Organization" && g.Account == account:
			return "whether the account is in an organization with control policies: " + g.Operation + ": " + g.Reason
		case inv.org.id != "" && inv.org.seenTree && g.Account == inv.org.management:
			return "the control policies: " + g.Operation + ": " + g.Reason
		}
	}
	switch {
	case inv.org.id == "":
		return ""
	case !inv.org.seenTree:
		return "the service control policies, which only the organization's management account can read"
	case len(inv.org.broken) > 0:
		return inv.org.broken[0]
	}
	return ""
}

// HasOrganization reports whether the estate says anything of an organization:
// its absence, or an organization. A file with nothing but identities does not.
func (inv *Inventory) HasOrganization() bool { return inv.org.id != "" || len(inv.blocks) > 0 }

// Networks returns the ids of the VPCs and VPC endpoints of the estate, sorted.
func (inv *Inventory) Networks() []string { return inv.networks }

// ControlMissing says why the service control policies of a principal are not
// known; "" means that they are, or that none apply.
func (inv *Inventory) ControlMissing(p *Principal) string {
	if p.ServiceLinked() {
		return ""
	}
	return inv.controlMissing(p.Account)
}
