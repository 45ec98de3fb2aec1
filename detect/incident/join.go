package incident

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/arn"
	"github.com/bartizan-security/bartizan/finding"
)

// maxSharing is how many principals with alerts may use an address that still
// tells who somebody is. More of them are an office or a proxy.
const maxSharing = 5

const sameAddress = "same address"

// join unites the runs of different origins that are one story.
func (c *Correlator) join(runs []*run) {
	c.joinMade(runs)
	c.joinAddresses(runs)
}

func union(a, b *run, link finding.SessionLink) {
	x, y := a.top(), b.top()
	if x == y {
		return
	}
	if y.first < x.first || y.first == x.first && y.key < x.key {
		x, y = y, x
	}
	y.up = x
	x.joins = append(append(x.joins, y.joins...), link)
	y.joins = nil
}

// name is what a user, role or instance is known by whatever its path: the
// account, its kind and its name.
func nameOf(principal string) string {
	if instanceName.MatchString(principal) {
		return principal
	}
	a, err := arn.Parse(principal)
	if err != nil {
		return ""
	}
	parts := strings.Split(a.Resource, "/")
	if len(parts) < 2 {
		return ""
	}
	kind, name := parts[0], parts[len(parts)-1]
	if kind == "assumed-role" {
		kind, name = "role", parts[1]
	}
	return a.AccountID + "/" + kind + "/" + strings.ToLower(name)
}

// joinMade unites who made credentials with who used them.
func (c *Correlator) joinMade(runs []*run) {
	byOrigin, byName := map[string][]*run{}, map[string][]*run{}
	for _, r := range runs {
		byOrigin[r.key] = append(byOrigin[r.key], r)
		names := map[string]bool{}
		for _, s := range r.steps {
			name := nameOf(s.origin.name)
			if id, ok := strings.CutPrefix(s.origin.name, "EC2 instance "); ok {
				name = id
			}
			if name == "" && instanceName.MatchString(s.who.name) {
				name = s.who.name // a GuardDuty finding or a DNS query
			}
			if name != "" && !names[name] {
				names[name] = true
				byName[name] = append(byName[name], r)
			}
		}
	}
	gap := c.opt.Gap.Milliseconds()
	all := c.sessions.made
	// A key proves more than a name, so it is tried first.
	weaker := func(m *made) int {
		if m.how == "CreateAccessKey" {
			return 0
		}
		return 1
	}
	slices.SortFunc(all, func(a, b made) int {
		return cmp.Or(weaker(&a)-weaker(&b), cmp.Compare(a.at, b.at), cmp.Compare(a.target, b.target), cmp.Compare(a.id, b.id))
	})
	for i := range all {
		m := &all[i]
		users := byName[nameOf(m.target)]
		if len(users) == 0 {
			continue
		}
		from := c.sessions.resolve(m.by)
		for _, by := range byOrigin[from.name] {
			if m.at < by.first-gap || m.at > by.last+gap {
				continue
			}
			for _, user := range users {
				if user == by || user.last < m.at || user.first > m.at+gap && !by.near(user, gap) {
					continue
				}
				proof := "the same name"
				for _, s := range user.steps {
					if o := c.sessions.byKey[s.who.key]; s.who.key != "" && o != nil && o.id == m.id {
						proof = "access key " + s.who.key
					}
				}
				union(by, user, finding.SessionLink{From: from.name, To: m.target, How: m.how, Proof: proof, EventID: m.id, Time: time.UnixMilli(m.at).UTC()})
			}
		}
	}
}

// joinAddresses unites runs that come from one address.
func (c *Correlator) joinAddresses(runs []*run) {
	users := map[string]map[string]bool{}
	at := map[string][]*run{}
	for _, r := range runs {
		if r.first <= 0 {
			continue
		}
		mine := map[string]bool{}
		for _, s := range r.steps {
			key := addressKey(s)
			if key == "" {
				continue
			}
			if users[key] == nil {
				users[key] = map[string]bool{}
			}
			users[key][r.key] = true
			if !mine[key] && r.worst >= finding.SeverityMedium.Rank() {
				mine[key] = true
				at[key] = append(at[key], r)
			}
		}
	}
	keys := make([]string, 0, len(at))
	for k := range at {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		if len(users[k]) > maxSharing {
			continue
		}
		list := at[k]
		for i := 1; i < len(list); i++ {
			for j := i - 1; j >= 0; j-- {
				if list[j].key != list[i].key && list[j].near(list[i], c.opt.Gap.Milliseconds()) {
					address, _, _ := strings.Cut(k, " ")
					link := finding.SessionLink{From: list[j].steps[0].origin.name, To: list[i].steps[0].origin.name, How: sameAddress, Proof: "source address " + address}
					if s := list[i].steps[0]; len(s.refs) > 0 {
						link.EventID = s.refs[0].id
					}
					union(list[j], list[i], link)
					break
				}
			}
		}
	}
}

// addressKey is the address that a step came from, if it tells who it was. A
// private address does so within one account only.
func addressKey(s *step) string {
	a, err := netip.ParseAddr(s.source)
	if err != nil || a.IsLoopback() || a.IsUnspecified() || a.IsLinkLocalUnicast() || a.IsMulticast() {
		return ""
	}
	if a = a.Unmap(); a.IsPrivate() || sharedSpace.Contains(a) {
		return a.String() + " " + s.origin.account
	}
	return a.String()
}

var sharedSpace = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598
