package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/awsapi"
	"github.com/bartizan-security/bartizan/catalog"
	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/baseline"
	"github.com/bartizan-security/bartizan/detect/logs"
	"github.com/bartizan-security/bartizan/detect/sigma"
	"github.com/bartizan-security/bartizan/finding"
	"github.com/bartizan-security/bartizan/finding/report"
)

// ruleFlags choose detection rules.
type ruleFlags struct {
	dirs         []string
	noPack       bool
	only, skip   []string
	placeholders []string
	files        []string
	extra        []*sigma.Rule // that are always there and not the user's
	fields       []string      // that somebody reads beside the rules
}

func addRuleFlags(c *cobra.Command) *ruleFlags {
	f := &ruleFlags{}
	c.Flags().StringArrayVar(&f.dirs, "rules", nil, "`DIR` or file of Sigma rules of your own, repeatable; they join the built-in ones")
	c.Flags().BoolVar(&f.noPack, "no-pack", false, "leave out the built-in rules")
	c.Flags().StringSliceVar(&f.only, "only", nil, "rules to use: name or id (with *), ATT&CK technique, or level")
	c.Flags().StringSliceVar(&f.skip, "skip", nil, "rules to leave out, in the same words")
	c.Flags().StringArrayVar(&f.placeholders, "placeholder", nil, "`NAME=VALUE` of a placeholder %NAME% that rules expand, repeatable")
	c.Flags().StringArrayVar(&f.files, "placeholders", nil, "YAML `FILE` of placeholders: a map of name to value or list of values")
	return f
}

// packRules returns the embedded rules.
func packRules() ([]*sigma.Rule, error) {
	sub, err := fs.Sub(catalog.Detections, "detections")
	if err != nil {
		return nil, err
	}
	return detect.LoadRules(sub, ".", "")
}

// loadRules reads a user's file or folder of rules.
func loadRules(name string) ([]*sigma.Rule, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, &Error{Code: ExitUsage, Err: fmt.Errorf("--rules: %w", err), Hint: "name a folder of Sigma rules (*.yml) or one rule file"}
	}
	var rules []*sigma.Rule
	if info.IsDir() {
		rules, err = detect.LoadRules(os.DirFS(name), ".", name)
	} else {
		var src []byte
		if src, err = os.ReadFile(name); err == nil {
			rules, err = sigma.Parse(name, src)
		}
	}
	if err != nil {
		return rules, &Error{Code: ExitUsage, Err: err, Hint: "'bartizan rules lint " + name + "' lists every fault"}
	}
	if len(rules) == 0 {
		return nil, usageErrorf("--rules %s: no rule (*.yml) in it", name)
	}
	return rules, nil
}

// all returns the built-in rules and the user's. A user's rule takes the place
// of a built-in one of the same id or name.
func (f *ruleFlags) all(a *App) ([]*sigma.Rule, error) {
	var own []*sigma.Rule
	for _, dir := range f.dirs {
		rules, err := loadRules(dir)
		if err != nil {
			return nil, err
		}
		own = append(own, rules...)
	}
	if f.noPack {
		if len(own) == 0 {
			return nil, usageErrorf("--no-pack leaves no rule; give some with --rules DIR")
		}
		return own, nil
	}
	pack, err := packRules()
	if err != nil {
		return nil, err
	}
	pack = slices.DeleteFunc(pack, func(p *sigma.Rule) bool {
		taken := slices.ContainsFunc(own, func(r *sigma.Rule) bool { return p.Is(r.ID) || p.Is(r.Name) })
		if taken {
			a.notef("rule %s: yours takes the place of the built-in one", p.Key())
		}
		return taken
	})
	return append(pack, own...), nil
}

func (f *ruleFlags) options() (sigma.Options, error) {
	// Rules of the user can name the lists of the built-in ones.
	lists, err := detect.LoadPlaceholders(catalog.Detections, "detections")
	if err != nil {
		return sigma.Options{}, err
	}
	opt := sigma.Options{Placeholders: lists, Fields: append(detect.Fields(), f.fields...)}
	for _, file := range f.files {
		src, err := os.ReadFile(file)
		if err != nil {
			return opt, &Error{Code: ExitUsage, Err: fmt.Errorf("--placeholders: %w", err)}
		}
		values, err := detect.ParsePlaceholders(file, src)
		if err != nil {
			return opt, &Error{Code: ExitUsage, Err: fmt.Errorf("--placeholders: %w", err)}
		}
		for name, list := range values {
			opt.Placeholders[name] = append(opt.Placeholders[name], list...)
		}
	}
	for _, p := range f.placeholders {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return opt, usageErrorf("--placeholder %q: want NAME=VALUE", p)
		}
		opt.Placeholders[name] = append(opt.Placeholders[name], value)
	}
	return opt, nil
}

// engine compiles the chosen rules.
func (f *ruleFlags) engine(a *App) (*sigma.Engine, error) {
	opt, err := f.options()
	if err != nil {
		return nil, err
	}
	rules, err := f.all(a)
	if err != nil {
		return nil, err
	}
	chosen, err := f.choose(rules)
	if err != nil {
		return nil, err
	}
	engine, err := sigma.Compile(append(chosen, f.extra...), opt)
	if err != nil {
		return nil, &Error{Code: ExitUsage, Err: err, Hint: "'bartizan rules lint' lists every fault; --skip RULE leaves a rule out"}
	}
	for _, w := range engine.Warnings() {
		a.notef("rule %s", w)
	}
	return engine, nil
}

// choose applies --only and --skip. What a chosen correlation refers to, and
// filters, stay.
func (f *ruleFlags) choose(rules []*sigma.Rule) ([]*sigma.Rule, error) {
	if len(f.only) == 0 && len(f.skip) == 0 {
		return rules, nil
	}
	used := map[string]bool{}
	keep := func(r *sigma.Rule) bool {
		return (len(f.only) == 0 || slices.ContainsFunc(f.only, func(w string) bool { return ruleIs(r, w) })) &&
			!slices.ContainsFunc(f.skip, func(w string) bool { return ruleIs(r, w) })
	}
	for _, w := range append(slices.Clone(f.only), f.skip...) {
		if !slices.ContainsFunc(rules, func(r *sigma.Rule) bool { return ruleIs(r, w) }) {
			return nil, &Error{Code: ExitUsage, Err: fmt.Errorf("no rule is %q", w), Hint: "'bartizan rules list' shows them"}
		}
	}
	var need func(r *sigma.Rule)
	chosen := map[*sigma.Rule]bool{}
	need = func(r *sigma.Rule) {
		if chosen[r] {
			return
		}
		chosen[r] = true
		if r.Correlation != nil {
			for _, name := range r.Correlation.Rules {
				used[name] = true
				for _, o := range rules {
					if o.Is(name) {
						need(o)
					}
				}
			}
		}
	}
	for _, r := range rules {
		if keep(r) {
			need(r)
		}
	}
	return slices.DeleteFunc(slices.Clone(rules), func(r *sigma.Rule) bool { return !chosen[r] && r.Filter == nil }), nil
}

func ruleIs(r *sigma.Rule, word string) bool {
	if r.Is(word) || strings.EqualFold(r.Level, word) && r.Filter == nil {
		return true
	}
	for _, t := range r.Techniques() {
		if strings.EqualFold(t, word) || strings.HasPrefix(t, strings.ToUpper(word)+".") {
			return true
		}
	}
	if strings.Contains(word, "*") {
		ok, _ := path.Match(word, r.Key())
		return ok
	}
	return false
}

func newDetectCommand(a *App) *cobra.Command {
	var flowFormat, old string
	var workers int
	live := &logBucket{}
	c := &cobra.Command{
		Use:   "detect PATH…",
		Short: "Find attacks in AWS logs",
		Long: `detect reads AWS logs and states every match of a detection rule as a finding.

A PATH is a file, a folder with files in any depth, s3://bucket/prefix, or - for
standard input. What a file is, detect sees by its content: CloudTrail (delivered objects, JSON
Lines, EventBridge, lookup-events, Lake, Insights), VPC and transit gateway flow
logs (text and Parquet), ALB, NLB and CLB logs, S3 access logs, CloudFront, WAF,
Route 53 resolver queries, GuardDuty and Security Hub findings; plain, gzip or
zstd. What cannot be read is reported with file and offset, the rest goes on,
and the exit code is 3.

Rules are Sigma 2.1: the built-in ones, and your own with --rules.

Detections of one actor are joined into incidents: sessions are led back to
whoever opened them, and each incident has a timeline. --estate says what the
actors can reach, --suppress hides what you know, with a reason and an end.`,
		Example: `  bartizan detect logs/AWSLogs
  bartizan detect logs --estate estate.jsonl.zst --suppress known.yml
  bartizan detect trail.json.gz -o jsonl
  aws cloudtrail lookup-events | bartizan detect -
  bartizan detect s3://my-trail/AWSLogs/123456789012/CloudTrail/eu-west-1/2024/01/02/
  bartizan detect logs --backtest my-rules.old --rules my-rules --no-pack
  bartizan detect logs --rules my-rules --only high,critical -o html=report.html
  bartizan detect flow.log --flow-format '${version} ${srcaddr} ${dstaddr} ${dstport} ${action}'`,
		Args: cobra.MinimumNArgs(1),
	}
	rules := addRuleFlags(c)
	incidents := addIncidentFlags(c)
	habits := addBaselineFlags(c)
	c.AddCommand(newDetectCoverageCommand(a), newDetectBaselineCommand(a))
	flags := addReportFlags(c, "low")
	c.Flags().StringVar(&flowFormat, "flow-format", "", "format of flow logs that have no header line, as given to AWS: '${version} ${srcaddr} …'")
	live.addFlags(c)
	c.Flags().StringVar(&old, "backtest", "", "compare the rules in `OLD` (a folder, a file, or pack for the built-in ones) with those that would be used otherwise")
	c.Flags().IntVar(&workers, "workers", 0, "files read at once (default: one per processor)")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := flags.check(a); err != nil {
			return err
		}
		if old != "" {
			if slices.Contains(args, "-") {
				return usageErrorf("--backtest reads the logs twice, and standard input can be read once")
			}
			for _, name := range []string{"suppress", "estate", "baseline-state", "automation", "mutes", "baseline"} {
				if c.Flags().Changed(name) {
					return usageErrorf("--backtest compares what the rules find; leave out --%s", name)
				}
			}
			return a.backtest(c.Context(), old, rules, func() ([]logs.Source, error) { return a.logSources(c.Context(), args, live) },
				detect.Options{Workers: workers, FlowFormat: flowFormat}, flags.out)
		}
		if err := incidents.check(c.Context(), a, flags.formats()); err != nil {
			return err
		}
		if err := incidents.addRule(rules); err != nil {
			return err
		}
		if habits.state != "" {
			rules.fields = append(rules.fields, baseline.Fields()...)
		}
		engine, err := rules.engine(a)
		if err != nil {
			return err
		}
		sources, err := a.logSources(c.Context(), args, live)
		if err != nil {
			return err
		}
		out, err := flags.open(a, a.reportRun("detect", strings.Join(args, " "), nil))
		if err != nil {
			return err
		}
		defer out.abort()
		if err := habits.open(a); err != nil {
			return err
		}
		opt := detect.Options{Workers: workers, FlowFormat: flowFormat}
		incidents.options(&opt)
		inTime(sources)
		if habits.judge != nil {
			opt.Gather = func() detect.Gatherer { return habits.judge.Extractor() }
		}
		a.boundMemory()
		n := len(engine.Rules()) - len(rules.extra)
		a.notef("%d %s, %d %s", n, plural(n, "rule", "rules"), len(sources), plural(len(sources), "file", "files"))
		problems := &problemList{a: a}
		opt.Problem, opt.Skipped = problems.add, problems.skip
		m := newMeter(a)
		opt.Progress = func(done int, s detect.Stats) { m.detected(done, len(sources), s) }
		stats, err := detect.Run(c.Context(), sources, engine, opt, func(m *detect.Match) error { return incidents.add(out, m) })
		m.done()
		if err != nil {
			var e *Error
			if errors.As(err, &e) {
				return err
			}
			return stopped("detect", err)
		}
		for _, line := range problems.summary(stats.Malformed) {
			out.notComplete("%s", line)
		}
		a.detectSummary(stats, problems.skipped)
		if err := habits.finish(a, func(f *finding.Finding) error { return incidents.anomaly(out, f) }); err != nil {
			return err
		}
		incidents.finish(a, out)
		return out.close(nil)
	}
	return c
}

func (a *App) detectSummary(s detect.Stats, skipped []string) {
	a.notef("%d events in %d %s: %d matches", s.Events, s.Files, plural(s.Files, "file", "files"), s.Matches)
	if s.Duplicates > 0 {
		a.notef("%d matched events were delivered more than once and counted once", s.Duplicates)
	}
	if s.Digests > 0 {
		a.notef("%d digest files skipped: they hold no events", s.Digests)
	}
	if s.NotLogs > 0 {
		more := ""
		if s.NotLogs > len(skipped) {
			more = " …"
		}
		a.notef("%d files in the folders are no logs and were skipped: %s%s", s.NotLogs, report.Plain(strings.Join(skipped, ", ")), more)
	}
	if s.SettledEarly > 0 {
		a.warnf("correlations looked %d times at an event that came too late, or in a window too large, for the memory that they may use; give the logs in order of time", s.SettledEarly)
	}
}

// stopped is the error of a command that read logs and did not get to the end.
func stopped(verb string, err error) error {
	if errors.Is(err, context.Canceled) {
		return incompleteErrorf("%s: interrupted before the logs were read to their end; nothing is reported of what was read", verb)
	}
	return incompleteErrorf("%s: %w", verb, err)
}

// logBucket says how to reach logs in S3.
type logBucket struct{ profile, region, endpoint string }

func (b *logBucket) addFlags(c *cobra.Command) {
	c.Flags().StringVar(&b.profile, "profile", "", "AWS profile for s3:// (default AWS_PROFILE)")
	c.Flags().StringVar(&b.region, "region", "", "AWS region to start from for s3:// (default AWS_REGION or the profile's)")
	c.Flags().StringVar(&b.endpoint, "endpoint-url", "", "endpoint for s3:// (default AWS_ENDPOINT_URL)")
}

func (b *logBucket) list(ctx context.Context, a *App, url string) ([]logs.Source, error) {
	client, err := awsapi.New(ctx, awsapi.Options{Profile: b.profile, Region: b.region, Endpoint: b.endpoint,
		MaxAttempts: 5, UserAgent: "bartizan/" + version(), Clock: a.Now})
	if err != nil {
		return nil, &Error{Code: ExitUsage, Err: fmt.Errorf("prepare AWS client: %w", err), Hint: "check --profile, --region and the files in ~/.aws"}
	}
	if client.Region() == "" {
		client = client.WithRegion("us-east-1")
	}
	out, err := logs.S3(ctx, client, url)
	if err != nil {
		return nil, &Error{Code: ExitIncomplete, Err: err, Hint: "reading logs needs s3:ListBucket and s3:GetObject, and kms:Decrypt where the bucket is encrypted with a key of yours"}
	}
	if len(out) == 0 {
		return nil, incompleteErrorf("%s: no object has this prefix", url)
	}
	return out, nil
}

// logSources lists what the arguments name.
func (a *App) logSources(ctx context.Context, args []string, bucket *logBucket) ([]logs.Source, error) {
	var out []logs.Source
	stdin := false
	for _, arg := range args {
		switch {
		case logs.IsS3(arg):
			objects, err := bucket.list(ctx, a, arg)
			if err != nil {
				return nil, err
			}
			out = append(out, objects...)
		case arg == "-":
			if stdin {
				return nil, usageErrorf("standard input can be read once only")
			}
			stdin = true
			out = append(out, logs.FromReader("standard input", a.Stdin))
		default:
			files, err := logs.Files(filepath.Clean(arg))
			if errors.Is(err, fs.ErrNotExist) {
				return nil, &Error{Code: ExitUsage, Err: err, Hint: "name a log file, a folder of logs, or - for standard input"}
			}
			if err != nil {
				return nil, incompleteErrorf("%w", err)
			}
			if len(files) == 0 {
				return nil, &Error{Code: ExitIncomplete, Err: fmt.Errorf("%s: no file in this folder", arg), Hint: "logs are found in folders below it, too; is it the one that they were synchronised to?"}
			}
			out = append(out, files...)
		}
	}
	return out, nil
}

// problemList keeps the first problems and counts the others.
type problemList struct {
	a       *App
	lines   []string
	skipped []string
}

const maxProblems = 20

func (p *problemList) add(problem logs.Problem) {
	if len(p.lines) < maxProblems {
		p.lines = append(p.lines, problem.Error())
	}
}

func (p *problemList) skip(file string) {
	if len(p.skipped) < 5 {
		p.skipped = append(p.skipped, file)
	}
}

func (p *problemList) summary(total int64) []string {
	if more := total - int64(len(p.lines)); more > 0 {
		return append(p.lines, fmt.Sprintf("and %d more records or files that could not be read", more))
	}
	return p.lines
}
