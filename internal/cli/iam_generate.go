package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/logs"
	"github.com/bartizan-security/bartizan/finding/report"
	"github.com/bartizan-security/bartizan/identity/inventory"
	"github.com/bartizan-security/bartizan/identity/prove"
	"github.com/bartizan-security/bartizan/identity/usage"
)

func newIAMGenerateCommand(a *App) *cobra.Command {
	var trail []string
	var principal string
	c := &cobra.Command{
		Use:   "generate --from-trail LOGS --principal P",
		Short: "A policy from what a principal used in CloudTrail",
		Long: `Reads CloudTrail logs (files, folders, s3://bucket/prefix, - for standard input)
and prints the policy that allows what the principal was seen to do, on the
resources that the events show; many resources of one kind are shortened to their
common beginning. The policy never allows more than the principal's own policies:
where the logs do not show a resource, it takes theirs, with their conditions, and
the result is proven not to be wider.

What a trail does not log is not in the policy: data events of S3, Lambda, SQS and
others unless they are switched on, and what happened before the logs begin.

Exit code: 0 done, 3 the proof is unknown, or logs could not be read.`,
		Example: `  bartizan iam generate --from-trail logs/AWSLogs --principal role/deploy -e estate.json.zst
  bartizan iam generate --from-trail s3://trail/AWSLogs/111122223333/ --principal ci -o json`,
		Args: cobra.NoArgs,
	}
	f := addQuestionFlags(c, false)
	c.Flags().StringArrayVar(&trail, "from-trail", nil, "`PATH` of CloudTrail logs, repeatable")
	c.Flags().StringVar(&principal, "principal", "", "user or role: ARN, role/NAME or user/NAME")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := f.out.parse(); err != nil {
			return err
		}
		if len(trail) == 0 || principal == "" {
			return usageErrorf("--from-trail and --principal are both needed")
		}
		w, err := f.openWorld(c.Context(), a, false)
		if err != nil {
			return err
		}
		s, err := w.find(principal)
		if err != nil {
			return err
		}
		if s.Principal == nil || s.Kind == inventory.Root {
			return usageErrorf("%s has no identity policies of its own: give a user or a role", principal)
		}
		seen, err := f.readTrail(c.Context(), a, trail, func(t *trailCall) *inventory.Principal {
			if t.belongsTo(s) {
				return s.Principal
			}
			return nil
		})
		if err != nil {
			return err
		}
		out := generated(w, s.Principal, seen)
		if err := emitOne(a, f.out, out, func(b *strings.Builder) { fmt.Fprintf(b, "%s\n", bytes.TrimSpace(out.Policy)) }); err != nil {
			return err
		}
		out.notes(a)
		if out.Wider != nil || len(seen.problems) > 0 || len(out.Missing) > 0 {
			return errIncomplete
		}
		return nil
	}
	return c
}

// seenTrail is what logs say about principals.
type seenTrail struct {
	uses        map[*inventory.Principal]*usage.Use
	first, last time.Time
	events      int64
	problems    []string
}

// readTrail reads logs and notes the calls of the principals that of names.
func (f *questionFlags) readTrail(ctx context.Context, a *App, paths []string, of func(*trailCall) *inventory.Principal) (*seenTrail, error) {
	sources, err := a.logSources(ctx, paths, &logBucket{profile: f.profile, region: f.region, endpoint: f.endpoint})
	if err != nil {
		return nil, err
	}
	seen := &seenTrail{uses: map[*inventory.Principal]*usage.Use{}}
	problems := &problemList{a: a}
	var malformed int64
	r := &logs.Reader{Schema: event.NewSchema("userIdentity.arn"), Problem: problems.add, Skipped: problems.skip}
	r.Visit = func(e *event.Event) error {
		if e.Kind != event.CloudTrail {
			return nil
		}
		seen.events++
		if t := e.Time(); !t.IsZero() {
			if seen.first.IsZero() || t.Before(seen.first) {
				seen.first = t
			}
			if t.After(seen.last) {
				seen.last = t
			}
		}
		doc, err := e.Document()
		if err != nil {
			seen.problems = append(seen.problems, e.Ref()+": "+err.Error())
			return nil //nolint:nilerr // reported with the result; the other events count
		}
		call, ok := newTrailCall(doc)
		if !ok {
			return nil
		}
		p := of(call)
		if p == nil {
			return nil
		}
		if seen.uses[p] == nil {
			seen.uses[p] = usage.NewUse()
		}
		seen.uses[p].Add(&call.Call)
		return nil
	}
	for _, src := range sources {
		stats, err := r.Read(ctx, src)
		if err != nil {
			return nil, incompleteErrorf("read %s: %w", src.Name(), err)
		}
		malformed += stats.Malformed
	}
	seen.problems = append(seen.problems, problems.summary(malformed)...)
	for _, p := range seen.problems {
		a.warnf("%s", report.Plain(p))
	}
	if seen.events == 0 && len(seen.problems) == 0 {
		return nil, incompleteErrorf("%s: no event of CloudTrail", strings.Join(paths, ", "))
	}
	return seen, nil
}

func (s *seenTrail) use(p *inventory.Principal) *usage.Use {
	if u := s.uses[p]; u != nil {
		return u
	}
	return usage.NewUse()
}

type generateOutput struct {
	Principal string          `json:"principal"`
	Policy    json.RawMessage `json:"policy"`
	Proven    bool            `json:"notWider"` // proven not to allow more than the principal has
	Wider     *answerOutput   `json:"wider,omitempty"`
	From      string          `json:"from,omitempty"` // the first and last event of the logs
	To        string          `json:"to,omitempty"`
	Calls     int             `json:"calls"`
	Denied    int             `json:"denied"`
	Lost      []string        `json:"notOwn"` // used, but allowed by something else than the principal's own policies
	Unmapped  []string        `json:"unmapped"`
	Inexact   []string        `json:"inexact,omitempty"`
	Missing   []string        `json:"missing,omitempty"`
}

func generated(w *world, p *inventory.Principal, seen *seenTrail) *generateOutput {
	u := seen.use(p)
	l := usage.Generate(u, w.Stack(p, p.ARN))
	out := &generateOutput{Principal: p.ARN, Policy: json.RawMessage(l.Policy.String()), Proven: l.Wider.Verdict == prove.No,
		From: dateOf(seen.first), To: dateOf(seen.last), Calls: u.Calls, Denied: u.Denied,
		Lost: append([]string{}, l.Lost...), Unmapped: append([]string{}, slices.Sorted(maps.Keys(u.Unknown))...), Inexact: l.Inexact, Missing: p.Missing}
	if !out.Proven {
		out.Wider = newAnswer("wider", l.Wider)
	}
	return out
}

func (o *generateOutput) notes(a *App) {
	a.notef("%d calls of %s from %s to %s, %d of them denied", o.Calls, report.Plain(o.Principal), o.From, o.To, o.Denied)
	if o.Proven {
		a.notef("proven: the policy allows nothing that the principal may not do today")
	} else {
		a.warnf("not proven to be within what the principal has: %s", report.Plain(o.Wider.Reason))
	}
	list := func(what string, items []string) {
		for i, s := range items {
			if i == 10 {
				a.notef("  … and %d more", len(items)-i)
				break
			}
			a.notef("%s %s", what, report.Plain(s))
		}
	}
	list("used, but not by its own policies (a resource's policy allows it, or it needs none):", o.Lost)
	list("no permission is known for", o.Unmapped)
	list("could not be expressed:", o.Inexact)
	for _, m := range o.Missing {
		a.warnf("could not be read: %s", report.Plain(m))
	}
}
