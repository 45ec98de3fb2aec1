package identity_test

import (
	"encoding/base64"
	"math/big"
	"net"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/catalog"
)

// The plain evaluator is a second opinion: it reads the documents anew for each
// request, compiles nothing, indexes nothing, and is written for its likeness
// to AWS's description. It knows neither grants nor S3's own settings.

// Answers of three values: 0 no, 1 perhaps, 2 yes.
type plain struct {
	req    *identity.Request
	stack  *identity.Stack
	ctx    map[string][]string // lower case
	kind   string              // user role session federated root service provider anonymous
	acct   string
	owner  string
	target string
	bound  bool
	seg    []string
	roleID string // role name of a role or session
}

func plainEvaluate(req *identity.Request, stack *identity.Stack) identity.Outcome {
	p := &plain{req: req, stack: stack, ctx: map[string][]string{}}
	p.identify()
	p.derive()
	p.target = req.Resource
	if a, ok := catalog.Default().Action(req.Action); ok && len(a.ResourceTypes) == 0 {
		p.target = "*"
		if a.Name == "ListAllMyBuckets" {
			p.target = "arn:aws:s3:::*"
		}
	}
	name := strings.ToLower(req.Action)
	if name == "sts:getcalleridentity" && p.acct != "" || name == "sts:getsessiontoken" && (p.kind == "user" || p.kind == "root") {
		return identity.Allowed
	}
	var mgmt string
	if mgmt = req.ManagementAccount; mgmt == "" && len(p.ctx["aws:principalorgmasteraccountid"]) == 1 {
		mgmt = p.ctx["aws:principalorgmasteraccountid"][0]
	}
	linked := p.kind == "role" && strings.HasPrefix(p.seg[5], "role/aws-service-role/")
	if p.kind == "session" {
		if arn := lookupFold(req.Context, "aws:PrincipalArn"); len(arn) == 1 {
			linked = strings.Contains(arn[0], ":role/aws-service-role/")
		} else {
			linked = strings.HasPrefix(p.roleID, "AWSServiceRoleFor")
		}
	}
	deny, gate := 0, 2
	levels := func(all [][]*identity.Document, implied bool) {
		for _, level := range all {
			d, a := p.union(level)
			deny = max(deny, d)
			if !implied {
				gate = min(gate, a)
			}
		}
	}
	service, _, _ := strings.Cut(name, ":")
	if catalog.Default().SupportsRCP(service) && !linked && name != "kms:retiregrant" && (p.owner == "" || p.owner != mgmt) {
		levels(stack.ResourceControl, true)
	}
	if p.acct != "" && !linked && p.acct != mgmt {
		levels(stack.ServiceControl, false)
	}
	for _, doc := range stack.Endpoint {
		d, a := p.union([]*identity.Document{doc})
		deny, gate = max(deny, d), min(gate, a)
	}
	var direct, viaRole, viaAccount int
	if stack.Resource != nil {
		for _, s := range stack.Resource.Policy.Statements {
			how, sure := p.principal(s)
			t := min(sure, p.matches(stack.Resource.Policy, s))
			switch {
			case s.Effect == identity.Deny:
				deny = max(deny, t)
			case how == "direct":
				direct = max(direct, t)
			case how == "role":
				viaRole = max(viaRole, t)
			case how == "account":
				viaAccount = max(viaAccount, t)
			}
		}
	}
	own, limits := 0, 2
	if p.acct != "" {
		var ident int
		if p.kind == "root" {
			ident = 2
			if name == "sts:assumerole" {
				ident = 0
			}
		} else {
			var d int
			d, ident = p.union(stack.Identity)
			deny = max(deny, d)
			for _, doc := range stack.Boundaries {
				d, a := p.union([]*identity.Document{doc})
				deny, limits = max(deny, d), min(limits, a)
			}
			if len(stack.Session) > 0 {
				d, a := p.union(stack.Session)
				deny, limits = max(deny, d), min(limits, a)
			} else if p.kind == "federated" {
				limits = 0
			}
		}
		own = min(ident, limits)
	}
	any := max(direct, viaRole, viaAccount)
	var allow int
	trust := service == "sts" && strings.Contains(p.target, ":role/") && strings.Contains("|assumerole|assumerolewithsaml|assumerolewithwebidentity|tagsession|setsourceidentity|setcontext|", "|"+strings.TrimPrefix(name, "sts:")+"|")
	trust = trust || service == "kms" && strings.HasPrefix(p.target, "arn:") && strings.Contains(p.target, ":key/")
	switch {
	case p.acct == "":
		allow = any
	case p.acct != p.owner:
		allow = min(any, own)
	case trust:
		allow = max(direct, min(viaRole, limits), min(viaAccount, own))
	default:
		allow = max(direct, min(viaRole, limits), own)
	}
	switch total := min(gate, allow); {
	case deny == 2:
		return identity.ExplicitDeny
	case total == 0:
		return identity.ImplicitDeny
	case total == 2 && deny == 0:
		return identity.Allowed
	}
	return identity.Unknown
}

func lookupFold(m map[string][]string, key string) []string {
	for k, v := range m {
		if strings.EqualFold(k, key) {
			return v
		}
	}
	return nil
}

func (p *plain) identify() {
	s := p.req.Principal
	switch {
	case s == "*":
		p.kind = "anonymous"
	case !strings.Contains(s, ":") && strings.Contains(s, "."):
		p.kind = "service"
		if !strings.Contains(s, "amazonaws") || s == "cognito-identity.amazonaws.com" {
			p.kind = "provider"
		}
	case !strings.Contains(s, ":"):
		p.kind, p.acct = "root", s
	default:
		p.seg = strings.SplitN(s, ":", 6)
		p.acct = p.seg[4]
		parts := strings.Split(p.seg[5], "/")
		switch parts[0] {
		case "root":
			p.kind = "root"
		case "user":
			p.kind = "user"
		case "role":
			p.kind, p.roleID = "role", parts[len(parts)-1]
		case "assumed-role":
			p.kind, p.roleID = "session", parts[1]
		case "federated-user":
			p.kind = "federated"
		default:
			p.kind, p.acct = "provider", ""
		}
	}
	p.owner = p.req.ResourceAccount
	if seg := strings.SplitN(p.req.Resource, ":", 6); p.owner == "" && len(seg) == 6 && len(seg[4]) == 12 {
		p.owner = seg[4]
	}
	if p.owner == "" {
		p.owner = p.acct
	}
	p.bound = len(p.stack.Boundaries) > 0 && p.acct != "" && p.kind != "root"
}

func (p *plain) derive() {
	set := func(k, v string) { p.ctx[k] = []string{v} }
	if p.acct != "" {
		set("aws:principalaccount", p.acct)
		set("kms:calleraccount", p.acct)
		set("aws:principalisawsservice", "false")
		arn := p.req.Principal
		if !strings.Contains(arn, ":") {
			arn = "arn:aws:iam::" + arn + ":root"
		}
		if p.kind == "session" {
			arn = "arn:" + p.seg[1] + ":iam::" + p.acct + ":role/" + p.roleID
		}
		set("aws:principalarn", arn)
	}
	if t := map[string]string{"anonymous": "Anonymous", "root": "Account", "user": "User", "role": "AssumedRole", "session": "AssumedRole", "federated": "FederatedUser"}[p.kind]; t != "" {
		set("aws:principaltype", t)
	}
	if p.kind == "service" {
		set("aws:principalisawsservice", "true")
		set("aws:principalservicename", p.req.Principal)
	}
	switch p.kind {
	case "root":
		set("aws:userid", p.acct)
	case "federated":
		set("aws:userid", p.acct+":"+strings.TrimPrefix(p.seg[5], "federated-user/"))
	}
	if p.kind == "user" {
		parts := strings.Split(p.seg[5], "/")
		set("aws:username", parts[len(parts)-1])
	}
	if p.owner != "" {
		set("aws:resourceaccount", p.owner)
	}
	keys := make([]string, 0, len(p.req.Context))
	for k := range p.req.Context {
		keys = append(keys, k)
	}
	sort.Sort(sort.Reverse(sort.StringSlice(keys)))
	for _, k := range keys {
		if len(p.req.Context[k]) > 0 {
			p.ctx[strings.ToLower(k)] = p.req.Context[k]
		}
	}
}

func (p *plain) isUnknown(key string) bool {
	for _, u := range p.req.UnknownContext {
		if strings.EqualFold(u, key) || strings.HasSuffix(u, "/*") && strings.HasPrefix(strings.ToLower(key), strings.ToLower(strings.TrimSuffix(u, "*"))) {
			return true
		}
	}
	return false
}

func (p *plain) union(docs []*identity.Document) (deny, allow int) {
	for _, d := range docs {
		for _, s := range d.Policy.Statements {
			_, sure := p.principal(s)
			t := min(sure, p.matches(d.Policy, s))
			if s.Effect == identity.Deny {
				deny = max(deny, t)
			} else {
				allow = max(allow, t)
			}
		}
	}
	return deny, allow
}

// names says how one entry names the caller.
func (p *plain) names(typ, s string) string {
	mine := p.req.Principal
	switch {
	case typ == "AWS" && s == "*":
		return "direct"
	case typ == "Service" && p.kind == "service", typ == "Federated" && p.kind == "provider":
		if s == mine || s == "*" {
			return "direct"
		}
	case typ == "CanonicalUser" && p.acct != "":
		return "unknown"
	case typ == "AWS" && p.acct != "":
		parts := strings.SplitN(s, ":", 6)
		path := strings.Split(parts[len(parts)-1], "/")
		switch {
		case s == p.acct, len(parts) == 6 && parts[4] == p.acct && parts[5] == "root" && (p.seg == nil || parts[1] == p.seg[1]):
			return "account"
		case strings.Contains(s, "*"):
		case p.kind == "user" && s == mine:
			if len(p.stack.Session) > 0 {
				return "role"
			}
			return "direct"
		case (p.kind == "session" || p.kind == "federated") && s == mine:
			return "direct"
		case p.kind == "role" && s == mine:
			return "role"
		case p.kind == "session" && len(parts) == 6 && parts[4] == p.acct && parts[2] == "iam" && path[0] == "role" && path[len(path)-1] == p.roleID && parts[1] == p.seg[1]:
			if arn := lookupFold(p.req.Context, "aws:PrincipalArn"); len(arn) == 1 && !p.isUnknown("aws:PrincipalArn") && strings.Contains(arn[0], ":role/") && arn[0] != s {
				return ""
			}
			return "role"
		}
	}
	return ""
}

func (p *plain) principal(s *identity.Statement) (how string, sure int) {
	el := s.Principal
	if el == nil {
		el = s.NotPrincipal
	}
	if el == nil {
		return "direct", 2
	}
	found := map[string]bool{}
	star := el.Everyone
	for _, e := range el.Entries {
		for _, v := range e.Values {
			found[p.names(e.Type, v.Text)] = true
			star = star || e.Type == "AWS" && v.Text == "*"
		}
	}
	if star {
		found["direct"] = true
	}
	if s.Principal != nil {
		for _, how := range []string{"direct", "role", "account"} {
			if found[how] {
				return how, 2
			}
		}
		if found["unknown"] {
			return "account", 1
		}
		return "", 0
	}
	if s.Effect == identity.Allow {
		switch {
		case found["direct"] || found["role"] || found["account"]:
			return "", 0
		case found["unknown"]:
			return "direct", 1
		}
		return "direct", 2
	}
	if p.bound {
		return "direct", 2
	}
	var exempt bool
	switch p.kind {
	case "root":
		exempt = found["account"]
	case "role":
		exempt = found["account"] && found["role"]
	case "session":
		exempt = found["account"] && found["role"] && found["direct"]
	case "user", "federated":
		exempt = found["account"] && (found["direct"] || found["role"])
	default:
		exempt = found["direct"]
	}
	switch {
	case exempt || star:
		return "", 0
	case found["unknown"]:
		return "direct", 1
	}
	return "direct", 2
}

// sub is a piece of a pattern after substitution.
type sub struct {
	text  string
	plain bool // literal
	any   bool // value not known
}

// fill substitutes variables. bad says that one is absent.
func (p *plain) fill(pol *identity.Policy, s string, resource bool) (subs []sub, bad, perhaps bool) {
	if pol.LanguageVersion() != identity.Version2012 {
		return []sub{{text: s}}, false, false
	}
	head := ""
	if resource && strings.HasPrefix(s, "arn:") {
		parts := strings.SplitN(s, ":", 6)
		if len(parts) < 6 {
			return []sub{{text: s}}, false, false
		}
		head, s = strings.Join(parts[:5], ":")+":", parts[5]
	}
	subs = []sub{{text: head}}
	for {
		i := strings.Index(s, "${")
		j := -1
		if i >= 0 {
			j = strings.Index(s[i:], "}")
		}
		if i < 0 || j < 0 {
			return append(subs, sub{text: s}), bad, perhaps
		}
		body := s[i+2 : i+j]
		subs = append(subs, sub{text: s[:i]})
		s = s[i+j+1:]
		if body == "*" || body == "?" || body == "$" {
			subs = append(subs, sub{text: body, plain: true})
			continue
		}
		name, def, hasDef := strings.Cut(body, ",")
		name, def = strings.TrimSpace(name), strings.TrimSpace(def)
		hasDef = hasDef && len(def) > 1 && strings.HasPrefix(def, "'") && strings.HasSuffix(def, "'")
		v := p.ctx[strings.ToLower(name)]
		switch {
		case p.isUnknown(name):
			subs, perhaps = append(subs, sub{any: true}), true
		case len(v) == 1:
			subs = append(subs, sub{text: v[0], plain: true})
		case hasDef:
			subs = append(subs, sub{text: def[1 : len(def)-1], plain: true})
		default:
			bad = true
		}
	}
}

// glob tells whether the pieces match s. early is the number of colons within
// which wildcards that do not end their segment must stay.
func glob(subs []sub, s string, early bool) bool {
	type tok struct {
		r       rune
		k       byte
		bounded bool
	}
	var list []tok
	colons := 0
	for _, x := range subs {
		if x.any {
			list = append(list, tok{k: '*'})
			continue
		}
		for i, r := range x.text {
			t := tok{r: r}
			if !x.plain && (r == '*' || r == '?') {
				t.k = byte(r)
				in := early && colons < 5
				end := i+1 == len(x.text) || x.text[i+1] == ':'
				t.bounded = in && (r == '?' || !end)
			}
			if r == ':' && !x.plain {
				colons++
			}
			list = append(list, t)
		}
	}
	text := []rune(s)
	seen := map[[2]int]bool{}
	var rec func(i, j int) bool
	rec = func(i, j int) bool {
		if i == len(list) {
			return j == len(text)
		}
		k := [2]int{i, j}
		if seen[k] {
			return false
		}
		seen[k] = true
		t := list[i]
		fits := j < len(text) && (!t.bounded || text[j] != ':')
		switch t.k {
		case '*':
			// A run of stars is as free as its freest star.
			free := t
			for n := i + 1; n < len(list) && list[n].k == '*'; n++ {
				free.bounded = free.bounded && list[n].bounded
			}
			for n := i - 1; n >= 0 && list[n].k == '*'; n-- {
				free.bounded = free.bounded && list[n].bounded
			}
			return rec(i+1, j) || j < len(text) && (!free.bounded || text[j] != ':') && rec(i, j+1)
		case '?':
			return fits && rec(i+1, j+1)
		}
		return j < len(text) && text[j] == t.r && rec(i+1, j+1)
	}
	return rec(0, 0)
}

func (p *plain) matches(pol *identity.Policy, s *identity.Statement) int {
	list, not := s.Action, false
	if s.NotAction != nil {
		list, not = s.NotAction, true
	}
	hit := false
	for _, v := range list.Values {
		hit = hit || glob([]sub{{text: strings.ToLower(v.Text)}}, strings.ToLower(p.req.Action), false)
	}
	if hit == not {
		return 0
	}
	t := 2
	list, not = s.Resource, false
	if s.NotResource != nil {
		list, not = s.NotResource, true
	}
	if list != nil {
		best := 0
		for _, v := range list.Values {
			subs, bad, perhaps := p.fill(pol, v.Text, true)
			if bad {
				continue
			}
			if glob(subs, p.target, strings.HasPrefix(v.Text, "arn:")) {
				one := 2
				if perhaps {
					one = 1
				}
				best = max(best, one)
			}
		}
		if not {
			best = 2 - best
		}
		t = min(t, best)
	}
	for _, c := range s.Conditions {
		for _, k := range c.Keys {
			t = min(t, p.condition(pol, c.Operator, k))
		}
	}
	return t
}

func (p *plain) condition(pol *identity.Policy, operator string, k *identity.ConditionKey) int {
	op := strings.ToLower(operator)
	all, some := strings.HasPrefix(op, "forallvalues:"), strings.HasPrefix(op, "foranyvalue:")
	op = op[strings.Index(op, ":")+1:]
	op, ifExists := strings.CutSuffix(op, "ifexists")
	have := p.ctx[strings.ToLower(k.Name)]
	unknown := p.isUnknown(k.Name)
	negated := strings.Contains(op, "not")
	if op == "null" && (all || some) {
		return b2(all)
	}
	if op == "null" {
		var wantAbsent, wantPresent bool
		for _, v := range k.Values {
			wantAbsent = wantAbsent || strings.EqualFold(v.Text, "true")
			wantPresent = wantPresent || strings.EqualFold(v.Text, "false")
		}
		switch {
		case wantAbsent && wantPresent:
			return 2
		case !wantAbsent && !wantPresent:
			return 0
		case unknown:
			return 1
		}
		return b2(wantAbsent == (len(have) == 0))
	}
	absent := b2(ifExists || all || negated && !some)
	one := func(s string) int {
		best := 0
		for _, v := range k.Values {
			best = max(best, p.compare(pol, op, v.Text, s))
		}
		if negated {
			return 2 - best
		}
		return best
	}
	switch {
	case unknown:
		// Certain only when absence and every value agree.
		starts, none := false, true
		for _, v := range k.Values {
			starts = starts || strings.HasSuffix(op, "like") && strings.HasPrefix(op, "string") && v.Text != "" && strings.Trim(v.Text, "*") == ""
			none = none && p.neverFits(op, v.Text)
		}
		if !starts && !none {
			return 1
		}
		m := b2(starts != negated)
		switch {
		case !all && !some && m == absent, all && m == 2 && absent == 2, some && m == 0 && absent == 0:
			return m
		}
		return 1
	case len(have) == 0:
		return absent
	case (all || some) && len(have) == 1 && have[0] == "":
		return b2(all)
	}
	every, least := 2, 0
	for _, s := range have {
		every, least = min(every, one(s)), max(least, one(s))
	}
	if all || !some && negated {
		return every
	}
	return least
}

func b2(b bool) int {
	if b {
		return 2
	}
	return 0
}

// neverFits says that a policy's value is not of the operator's type.
func (p *plain) neverFits(op, v string) bool {
	switch {
	case strings.HasPrefix(op, "numeric"):
		_, ok := number(v)
		return !ok
	case strings.HasPrefix(op, "date"):
		_, ok := date(v)
		return !ok
	case op == "bool":
		return !strings.Contains(v, "${") && !strings.EqualFold(v, "true") && !strings.EqualFold(v, "false")
	case strings.HasSuffix(op, "ipaddress"):
		_, ok := network(v)
		return !ok
	case op == "binaryequals":
		_, err := base64.StdEncoding.DecodeString(v)
		return err != nil
	}
	return false
}

func (p *plain) compare(pol *identity.Policy, op, want, got string) int {
	switch {
	case strings.HasPrefix(op, "string"):
		subs, bad, perhaps := p.fill(pol, want, false)
		if bad {
			return 0
		}
		if !strings.HasSuffix(op, "like") {
			text := ""
			for _, s := range subs {
				text += s.text
			}
			if perhaps {
				return 1
			}
			if strings.HasSuffix(op, "ignorecase") {
				return b2(strings.EqualFold(text, got))
			}
			return b2(text == got)
		}
		ok := glob(subs, got, false)
		if ok && perhaps {
			return 1
		}
		return b2(ok)
	case strings.HasPrefix(op, "arn"):
		subs, bad, perhaps := p.fill(pol, want, false)
		if bad {
			return 0
		}
		gotSeg := strings.SplitN(got, ":", 6)
		if len(gotSeg) != 6 || gotSeg[0] != "arn" {
			return 0
		}
		if perhaps {
			return min(1, b2(glob(subs, got, false)))
		}
		var segs [][]sub
		cur := []sub{}
		for _, s := range subs {
			rest := s.text
			for len(segs) < 5 {
				a, b, ok := strings.Cut(rest, ":")
				if !ok {
					break
				}
				segs, cur = append(segs, append(cur, sub{text: a, plain: s.plain})), []sub{}
				rest = b
			}
			cur = append(cur, sub{text: rest, plain: s.plain})
		}
		segs = append(segs, cur)
		if want != "" && strings.Trim(want, "*") == "" {
			return 2
		}
		if len(segs) != 6 {
			return 0
		}
		for i := range segs {
			if !glob(segs[i], gotSeg[i], false) {
				return 0
			}
		}
		return 2
	case strings.HasPrefix(op, "numeric"), strings.HasPrefix(op, "date"):
		var sign int
		if strings.HasPrefix(op, "numeric") {
			w, ok1 := number(want)
			g, ok2 := number(got)
			if !ok1 || !ok2 {
				return 0
			}
			sign = g.Cmp(w)
		} else {
			w, ok1 := date(want)
			g, ok2 := date(got)
			if !ok1 || !ok2 {
				return 0
			}
			sign = g.Compare(w)
		}
		switch op = strings.TrimPrefix(strings.TrimPrefix(op, "numeric"), "date"); op {
		case "lessthan":
			return b2(sign < 0)
		case "lessthanequals":
			return b2(sign <= 0)
		case "greaterthan":
			return b2(sign > 0)
		case "greaterthanequals":
			return b2(sign >= 0)
		}
		return b2(sign == 0)
	case op == "bool":
		subs, bad, perhaps := p.fill(pol, want, false)
		if bad || perhaps {
			return b2(perhaps && !bad) / 2
		}
		want = ""
		for _, s := range subs {
			want += s.text
		}
		return b2(strings.EqualFold(want, got) && (strings.EqualFold(want, "true") || strings.EqualFold(want, "false")))
	case op == "binaryequals":
		w, err1 := base64.StdEncoding.DecodeString(want)
		g, err2 := base64.StdEncoding.DecodeString(got)
		return b2(err1 == nil && (want == got || err2 == nil && string(w) == string(g)))
	}
	n, ok := network(want)
	ip := net.ParseIP(strings.TrimSpace(got))
	return b2(ok && ip != nil && n.Contains(ip))
}

func number(s string) (*big.Rat, bool) {
	if len(s) > 100 || strings.ContainsAny(s, "/_xXbBoOpPnNiI") {
		return nil, false
	}
	return new(big.Rat).SetString(strings.TrimSpace(s))
}

func date(s string) (time.Time, bool) {
	if n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64); err == nil && len(s) != 4 {
		return time.Unix(n, 0), true
	}
	for _, l := range []string{"2006", "2006-01", "2006-01-02", "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04"} {
		if t, err := time.Parse(l, strings.TrimSpace(s)); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func network(s string) (*net.IPNet, bool) {
	s = strings.TrimSpace(s)
	if _, n, err := net.ParseCIDR(s); err == nil {
		return n, true
	}
	ip := net.ParseIP(s)
	if ip == nil {
		return nil, false
	}
	if v4 := ip.To4(); v4 != nil {
		return &net.IPNet{IP: v4, Mask: net.CIDRMask(32, 32)}, true
	}
	return &net.IPNet{IP: ip, Mask: net.CIDRMask(128, 128)}, true
}
