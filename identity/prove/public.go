package prove

import (
	"net/netip"
	"strings"

	"github.com/bartizan-security/bartizan/identity"
)

// trusted lists the condition keys whose values a stranger cannot choose. A
// policy that fixes one of them is not public.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
var trusted = map[string]language{
	"aws:principalorgid":               {text("o-stranger00")},
	"aws:principalorgpaths":            {text("o-stranger00/r-strg/ou-strg-stranger/")},
	"aws:sourcearn":                    strangersARN,
	"aws:sourceaccount":                {text(freshAccount)},
	"aws:sourceowner":                  {text(freshAccount)},
	"aws:sourceorgid":                  {text("o-stranger00")},
	"aws:sourceorgpaths":               {text("o-stranger00/r-strg/ou-strg-stranger/")},
	"aws:sourcevpc":                    {text("vpc-0stranger0")},
	"aws:sourcevpce":                   {text("vpce-0stranger0")},
	"aws:sourcevpcarn":                 strangersARN,
	"aws:vpceaccount":                  {text(freshAccount)},
	"aws:vpceorgid":                    {text("o-stranger00")},
	"aws:userid":                       {text("AIDASTRANGERSTRANGER"), text("AROASTRANGERSTRANGER:stranger")},
	"s3:dataaccesspointarn":            strangersARN,
	"s3:dataaccesspointaccount":        {text(freshAccount)},
	"kms:calleraccount":                {text(freshAccount)},
	"elasticfilesystem:accesspointarn": strangersARN,
}

// strangersARN is the ARN of anything in an account that nobody names.
var strangersARN = language{
	globOf([]part{{text: "arn:aws:?*:*:" + freshAccount + ":?*"}}, true, segmentARN, false),
	text("arn:aws:s3:::stranger"),
}

// broadV4 and broadV6 are the shortest prefixes that still count as somebody's
// network rather than the internet.
const (
	broadV4 = 8
	broadV6 = 32
)

// Public answers: does the side allow a request of a stranger, who is anonymous
// or of an account that no policy names, and who cannot choose the values of
// the keys that name an organization, a network or a source?
func Public(s Side) Answer {
	if err := s.check(); err != nil {
		return Answer{Verdict: Unknown, Reason: err.Error()}
	}
	q := newQuestion(&s)
	nets := q.narrowNetworks()
	q.only = func(c *callerClass) bool {
		return c.kind == identity.AnonymousCaller || c.account == q.fresh && c.kind != identity.ProviderCaller
	}
	q.restrict = func(p *problem, _ *callerClass) {
		for key, within := range trusted {
			if v := p.vars[keyVariable(key)]; v != nil && v.fixed == "" && !v.absent {
				v.within, v.prefer = within, nil
			} else if v == nil {
				p.variableOf(keyVariable(key)).within = within
			}
		}
		for _, key := range []string{"aws:sourceip", "aws:vpcsourceip"} {
			p.variableOf(keyVariable(key)).outside = nets
		}
	}
	return q.ask(func(b *builder) *formula { return b.allowed(&s) }, q.confirm(&s))
}

// narrowNetworks returns the networks of the policies' address conditions that
// are somebody's.
func (q *question) narrowNetworks() []netip.Prefix {
	var nets []netip.Prefix
	for _, p := range q.policies {
		for _, s := range p.Statements {
			for _, c := range s.Conditions {
				if !strings.HasPrefix(strings.ToLower(c.Operator), "ipaddress") {
					continue
				}
				for _, k := range c.Keys {
					for _, t := range k.Texts() {
						n, ok := parseNet(t)
						if ok && (n.Addr().Is4() && n.Bits() >= broadV4 || n.Addr().Is6() && n.Bits() >= broadV6) {
							nets = append(nets, n)
						}
					}
				}
			}
		}
	}
	return nets
}
