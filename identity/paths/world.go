package paths

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/bartizan-security/bartizan/arn"
	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/inventory"
	"github.com/bartizan-security/bartizan/internal/glob"
)

// verdict is how sure something is.
type verdict uint8

const (
	not verdict = iota
	possible
	certain
)

// world is an estate as the search sees it, less the removed statements.
type world struct {
	inv      *inventory.Inventory
	prims    []*Primitive
	index    *estate.Index
	read     map[string]bool
	goal     *goal
	removed  map[Change]bool
	trusts   map[*inventory.Principal]*identity.Document
	attached map[*inventory.Principal][]inventory.Attachment
	ofGroup  map[string][]inventory.Attachment // by the extra of nodes
	admin    *identity.Document                // allows everything
	nobody   *identity.Document                // trusts nobody

	actions   map[string]int // of all primitives, to their bit
	bitsOf    map[*identity.Document]bits
	keysOf    map[*identity.Document][]string
	tellsOf   map[*identity.Document]bool
	docIDs    map[*identity.Document]int
	actionKey map[string]*actionKeys
	classes   []*class
	byKey     map[string]*class
	nodes     []*node
	byNode    map[nodeKey]*node
	of        map[*inventory.Principal][]*node
	accounts  map[string]*account
	groups    map[string]*inventory.Group // account/name
	trusting  map[trustKey]*step
	evaluated int
}

// bits is a set of the primitives' actions.
type bits [4]uint64

func (b *bits) set(i int)      { b[i/64] |= 1 << (i % 64) }
func (b *bits) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

// node is a principal, perhaps with more than its own policies.
type node struct {
	id     int
	p      *inventory.Principal
	plus   Plus
	extra  string // ARN of the policy rewritten, or of the groups joined: see joinedWith
	class  *class
	own    []*edge // of this node alone
	in     []*edge
	queued bool   // it is known to reach the goal
	dist   [3]int // by verdict: length of the shortest path that sure, or far
}

type nodeKey struct {
	p     *inventory.Principal
	plus  Plus
	extra string
}

const far = 1 << 30

// class is all nodes that have the same rights.
type class struct {
	id      int
	rep     *node
	nodes   []*node
	base    identity.Stack
	keys    []string // that its policies ask for
	own     bool     // the policies tell the principals apart: one node
	bits    bits
	missing []string
	goal    verdict
	why     []string // what makes the goal only possible
	edges   []*edge  // of every node
	steps   map[stepKey]*step
	bound   map[*Primitive]*binding
	touches map[string]*reachable // by action
	done    bool                  // all its nodes are known to reach the goal
}

// account is what the search needs to know of an account.
type account struct {
	id        string
	partition string
	regions   []string
	users     []*inventory.Principal
	roles     []*inventory.Principal
	trusted   map[string][]*inventory.Principal // by service
	groups    []*inventory.Group
	resources map[string][]*existing
	profiles  map[string]*inventory.Principal // instance profile's ARN or name to its role
	control   [][]*identity.Document          // resource control policies
	classes   []*class
	capable   map[*Primitive]*capable
}

func newWorld(inv *inventory.Inventory, o *Options, removed map[Change]bool) (*world, error) {
	w := &world{
		inv: inv, prims: o.Primitives, index: o.Index, read: o.Read, removed: removed,
		trusts: map[*inventory.Principal]*identity.Document{}, attached: map[*inventory.Principal][]inventory.Attachment{}, ofGroup: map[string][]inventory.Attachment{}, actions: map[string]int{},
		bitsOf: map[*identity.Document]bits{}, keysOf: map[*identity.Document][]string{}, tellsOf: map[*identity.Document]bool{},
		docIDs: map[*identity.Document]int{}, actionKey: map[string]*actionKeys{}, byKey: map[string]*class{}, byNode: map[nodeKey]*node{}, of: map[*inventory.Principal][]*node{},
		accounts: map[string]*account{}, groups: map[string]*inventory.Group{}, trusting: map[trustKey]*step{},
	}
	var err error
	w.admin, err = identity.ParseDocument([]byte(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`), identity.IdentityPolicy, "added policy")
	if err != nil {
		return nil, fmt.Errorf("prepare search: %w", err)
	}
	w.nobody, err = identity.Compile(&identity.Policy{}, identity.ResourcePolicy, trustPolicy)
	if err != nil {
		return nil, fmt.Errorf("prepare search: %w", err)
	}
	for _, p := range w.prims {
		for i := range p.Steps {
			name := p.Steps[i].Action
			if _, ok := w.actions[name]; !ok {
				w.actions[name] = len(w.actions)
			}
		}
	}
	if len(w.actions) > len(bits{})*64 {
		return nil, fmt.Errorf("prepare search: %d actions of primitives, %d at most", len(w.actions), len(bits{})*64)
	}
	w.goal, err = newGoal(inv, &o.Goal)
	if err != nil {
		return nil, err
	}
	w.survey()
	for _, p := range inv.Principals {
		if p.Kind != inventory.Root {
			w.node(p, PlusNothing, "")
		}
	}
	return w, nil
}

// survey reads the estate by account.
func (w *world) survey() {
	for _, g := range w.inv.Groups {
		w.groups[g.Account+"/"+g.Name] = g
		a := w.account(g.Account)
		a.groups = append(a.groups, g)
	}
	for _, p := range w.inv.Principals {
		a := w.account(p.Account)
		if parsed, err := arn.Parse(p.ARN); err == nil {
			a.partition = parsed.Partition
		}
		switch p.Kind {
		case inventory.User:
			a.users = append(a.users, p)
		case inventory.Role:
			if p.ServiceLinked() {
				continue // only its service can use it, and nobody can change it
			}
			a.roles = append(a.roles, p)
			for _, s := range servicesIn(w.trust(p)) {
				a.trusted[s] = append(a.trusted[s], p)
			}
			if p.Resource != nil {
				for _, ip := range list(p.Resource.Document["InstanceProfileList"]) {
					a.profile(ip, p)
				}
			}
		}
	}
	if w.index == nil {
		w.index = estate.NewIndex(nil)
	}
	for _, r := range w.index.Type("AWS::IAM::InstanceProfile") {
		a := w.account(r.Account)
		for _, role := range list(r.Document["Roles"]) {
			name, _ := role["Arn"].(string)
			if p, ok := w.inv.Principal(name); ok {
				a.profile(r.Document, p)
			}
		}
	}
	counts := map[string]map[string]int{}
	for _, r := range w.index.All() {
		if r.Region == "" {
			continue
		}
		if counts[r.Account] == nil {
			counts[r.Account] = map[string]int{}
		}
		counts[r.Account][r.Region]++
	}
	for id, a := range w.accounts {
		for region := range counts[id] {
			a.regions = append(a.regions, region)
		}
		sort.Slice(a.regions, func(i, j int) bool {
			x, y := a.regions[i], a.regions[j]
			if counts[id][x] != counts[id][y] {
				return counts[id][x] > counts[id][y]
			}
			return x < y
		})
		if len(a.regions) > 4 {
			a.regions = a.regions[:4]
		}
		if home := homeRegion(a.partition); !slices.Contains(a.regions, home) {
			a.regions = append(a.regions, home)
		}
		root := &inventory.Principal{Kind: inventory.Root, ARN: "arn:" + a.partition + ":iam::" + id + ":root", Account: id}
		a.control = w.inv.Stack(root, root.ARN).ResourceControl
	}
}

func homeRegion(partition string) string {
	switch partition {
	case "aws-cn":
		return "cn-north-1"
	case "aws-us-gov":
		return "us-gov-west-1"
	}
	return "us-east-1"
}

func (a *account) profile(doc map[string]any, role *inventory.Principal) {
	for _, member := range []string{"Arn", "InstanceProfileName"} {
		if name, _ := doc[member].(string); name != "" {
			a.profiles[name] = role
		}
	}
}

// profileOf returns the name of an instance profile of a role, or "".
func (a *account) profileOf(role *inventory.Principal) string {
	best := ""
	for name, r := range a.profiles {
		if r == role && !strings.HasPrefix(name, "arn:") && (best == "" || name < best) {
			best = name
		}
	}
	return best
}

func (w *world) account(id string) *account {
	a := w.accounts[id]
	if a == nil {
		a = &account{id: id, partition: "aws", trusted: map[string][]*inventory.Principal{}, resources: map[string][]*existing{}, profiles: map[string]*inventory.Principal{}, capable: map[*Primitive]*capable{}}
		w.accounts[id] = a
	}
	return a
}

func (w *world) groupARN(account, name string) string {
	if g := w.groups[account+"/"+name]; g != nil {
		return g.ARN
	}
	return name
}

func (w *world) docID(d *identity.Document) string {
	id, ok := w.docIDs[d]
	if !ok {
		id = len(w.docIDs)
		w.docIDs[d] = id
	}
	return strconv.Itoa(id) + ","
}

// node returns the node of a principal with what it gained, and its class.
func (w *world) node(p *inventory.Principal, plus Plus, extra string) *node {
	key := nodeKey{p, plus, extra}
	if n, ok := w.byNode[key]; ok {
		return n
	}
	n := &node{id: len(w.nodes), p: p, plus: plus, extra: extra, dist: [3]int{far, far, far}}
	w.byNode[key] = n
	w.nodes = append(w.nodes, n)
	w.of[p] = append(w.of[p], n)
	base := w.inv.Stack(p, p.ARN)
	var docs []*identity.Document
	for _, a := range w.attachments(p) {
		if plus == PlusAdmin && a.ARN != "" && a.ARN == extra {
			continue // the policy that was rewritten
		}
		docs = append(docs, a.Document)
	}
	switch plus {
	case PlusAdmin:
		docs = append(docs, w.admin)
	case PlusGroup:
		for _, a := range w.broughtBy(p, extra) {
			docs = append(docs, a.Document)
		}
	}
	stack := identity.Stack{Identity: docs, Boundaries: base.Boundaries, ServiceControl: base.ServiceControl}
	var b strings.Builder
	b.WriteString(p.Account)
	b.WriteString(string(p.Kind) + strconv.FormatBool(p.ServiceLinked()))
	ids := make([]string, 0, len(docs))
	tells := false
	for _, d := range docs {
		ids = append(ids, w.docID(d))
		tells = tells || w.tells(d)
	}
	sort.Strings(ids)
	for _, id := range slices.Compact(ids) {
		b.WriteString(id)
	}
	for _, d := range stack.Boundaries {
		b.WriteString("/" + w.docID(d))
		tells = tells || w.tells(d)
	}
	for _, level := range stack.ServiceControl {
		for _, d := range level {
			tells = tells || w.tells(d)
		}
	}
	missing := w.missing(p)
	if len(p.Missing) > 0 || tells {
		b.WriteString(p.ARN)
	}
	c := w.byKey[b.String()]
	if c == nil {
		c = &class{id: len(w.classes), rep: n, base: stack, own: tells, missing: missing, steps: map[stepKey]*step{}, bound: map[*Primitive]*binding{}, touches: map[string]*reachable{}}
		for _, d := range docs {
			for i, x := range w.docBits(d) {
				c.bits[i] |= x
			}
		}
		c.keys = w.asked(&stack)
		w.byKey[b.String()] = c
		w.classes = append(w.classes, c)
		a := w.account(p.Account)
		a.classes = append(a.classes, c)
		c.goal, c.why = w.goal.reached(w, c)
	}
	c.nodes = append(c.nodes, n)
	n.class = c
	return n
}

// missing lists what is not known about the rights of a principal.
func (w *world) missing(p *inventory.Principal) []string {
	if why := w.inv.ControlMissing(p); why != "" {
		return append(slices.Clone(p.Missing), why)
	}
	return p.Missing
}

// docBits returns the primitives' actions that some Allow statement names.
func (w *world) docBits(d *identity.Document) bits {
	if b, ok := w.bitsOf[d]; ok {
		return b
	}
	var b bits
	for _, s := range d.Policy.Statements {
		if s.Effect != identity.Allow {
			continue
		}
		for name, i := range w.actions {
			if names(s, name) {
				b.set(i)
			}
		}
	}
	w.bitsOf[d] = b
	return b
}

// names reports whether a statement's Action or NotAction includes an action.
func names(s *identity.Statement, action string) bool {
	list := s.Action
	if s.NotAction != nil {
		list = s.NotAction
	}
	low := strings.ToLower(action)
	for _, v := range list.Values {
		if glob.Match(strings.ToLower(v.Text), low) {
			return s.NotAction == nil
		}
	}
	return s.NotAction != nil
}

// tells reports whether a policy may treat principals of one account, with the
// same policies, differently.
func (w *world) tells(d *identity.Document) bool {
	if t, ok := w.tellsOf[d]; ok {
		return t
	}
	t := false
	for _, s := range d.Policy.Statements {
		for _, l := range []*identity.List{s.Resource, s.NotResource} {
			for _, text := range l.Texts() {
				t = t || strings.Contains(text, "${aws:") || strings.Contains(text, "${iam:")
			}
		}
		for _, c := range s.Conditions {
			for _, k := range c.Keys {
				switch low := strings.ToLower(k.Name); {
				case low == "aws:principalorgid" || low == "aws:principalorgpaths" || low == "aws:principalaccount" || low == "aws:principalisawsservice":
				case strings.HasPrefix(low, "aws:principal"), low == "aws:username", low == "aws:userid":
					t = true
				}
				for _, v := range k.Values {
					t = t || strings.Contains(v.Text, "${aws:")
				}
			}
		}
	}
	w.tellsOf[d] = t
	return t
}

// anyService stands for trust in everyone.
const anyService = "*"

// servicesIn lists the service principals that a trust policy allows.
func servicesIn(d *identity.Document) []string {
	if d == nil {
		return nil
	}
	var out []string
	for _, s := range d.Policy.Statements {
		if s.Effect != identity.Allow {
			continue
		}
		if s.Principal == nil || s.Principal.Everyone {
			out = append(out, anyService)
			continue
		}
		for _, e := range s.Principal.Entries {
			switch {
			case e.Type == identity.PrincipalService:
				out = append(out, e.Texts()...)
			case e.Type == identity.PrincipalAWS && slices.Contains(e.Texts(), "*"):
				out = append(out, anyService)
			}
		}
	}
	sort.Strings(out)
	return slices.Compact(out)
}

func list(v any) []map[string]any {
	items, _ := v.([]any)
	var out []map[string]any
	for _, e := range items {
		if m, ok := e.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}
