package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/bartizan-security/bartizan/awsapi"
	"github.com/bartizan-security/bartizan/catalog"
	"github.com/bartizan-security/bartizan/collect"
	"github.com/bartizan-security/bartizan/estate"
)

// awsSession lets collect call AWS through a client.
type awsSession struct{ client *awsapi.Client }

var _ collect.Session = awsSession{}

// Home returns the region the client calls.
func (s awsSession) Home() string { return s.client.Region() }

// In returns a client for a region.
func (s awsSession) In(region string) collect.API { return s.client.WithRegion(region) }

// Assume returns a session that acts as a role.
func (s awsSession) Assume(ctx context.Context, roleARN, externalID string) (collect.Session, error) {
	c, err := s.client.AssumeRole(ctx, roleARN, externalID, "bartizan")
	if err != nil {
		return nil, err
	}
	return awsSession{c}, nil
}

// session makes a session from the flags and the environment; no request is sent.
func (f *estateFlags) session(ctx context.Context, a *App) (collect.Session, error) {
	for _, from := range []struct{ name, url string }{{"--endpoint-url", f.endpoint}, {"AWS_ENDPOINT_URL", a.Getenv("AWS_ENDPOINT_URL")}} {
		u, err := url.Parse(from.url)
		if from.url != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			return nil, usageErrorf("%s %q: want a URL such as https://host:port", from.name, from.url)
		}
	}
	c, err := awsapi.New(ctx, awsapi.Options{Profile: f.profile, Region: f.region, Endpoint: f.endpoint,
		MaxAttempts: 3, UserAgent: "bartizan/" + version(), Clock: a.Now})
	if err != nil {
		return nil, &Error{Code: ExitUsage, Err: fmt.Errorf("prepare AWS client: %w", err), Hint: "check --profile, --region and the files in ~/.aws"}
	}
	if c.Region() == "" {
		c = c.WithRegion("us-east-1")
	}
	return awsSession{c}, nil
}

func resourceCatalogue() (*collect.Catalogue, error) {
	return collect.ParseCatalogue(catalog.Resources, "resources")
}

// openLive collects live AWS into a file that is gone when the estate is closed.
func (f *estateFlags) openLive(ctx context.Context, a *App, types []string) (*opened, error) {
	s, err := f.session(ctx, a)
	if err != nil {
		return nil, err
	}
	c, err := resourceCatalogue()
	if err != nil {
		return nil, err
	}
	file, err := os.CreateTemp("", "bartizan-live-*")
	if err != nil {
		return nil, incompleteErrorf("collect: %w", err)
	}
	remove := func() {
		file.Close()
		os.Remove(file.Name())
	}
	meter := newMeter(a)
	sum, err := collect.Run(ctx, s, collect.Options{Catalogue: c, Types: types, Regions: f.regions,
		Time: a.Now(), Tool: "bartizan " + version(), Progress: meter.show}, file)
	meter.done()
	if err != nil {
		remove()
		return nil, collectError(err)
	}
	if ctx.Err() != nil {
		remove()
		return nil, &Error{Code: ExitIncomplete, Err: errors.New("collecting was stopped"), Hint: "'bartizan collect' keeps what was read when it is stopped, and can resume"}
	}
	a.gapSummary(sum)
	if _, err := file.Seek(0, 0); err != nil {
		remove()
		return nil, incompleteErrorf("collect: %w", err)
	}
	r, err := estate.NewReader(file)
	if err != nil {
		remove()
		return nil, err
	}
	return &opened{Source: r, Name: "account " + sum.Header.Scope.Accounts[0], close: func() { r.Close(); remove() }}, nil
}

// openFiles reads a directory of AWS CLI outputs, or one such output.
func (f *estateFlags) openFiles(a *App, path string) (*opened, error) {
	c, err := resourceCatalogue()
	if err != nil {
		return nil, err
	}
	o := collect.FileOptions{Catalogue: c, Account: f.account, Region: f.region, Time: a.Now(), Tool: "bartizan " + version()}
	dir := path
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		dir, o.Names = filepath.Dir(path), []string{filepath.Base(path)}
	}
	e, skipped, err := collect.Files(os.DirFS(dir), o)
	if err != nil {
		return nil, &Error{Code: ExitIncomplete, Err: fmt.Errorf("%s: %w", path, err), Hint: "give a snapshot made by 'bartizan collect', or outputs of AWS CLI commands as JSON"}
	}
	unread := 0
	for _, s := range skipped {
		if s.Unread {
			unread++
		}
	}
	for i, s := range skipped {
		if i == 10 {
			a.warnf("… and %d more files are not used", len(skipped)-i)
			break
		}
		a.warnf("%s is not used: %s", filepath.Join(dir, s.File), s.Reason)
	}
	return &opened{Source: e, Name: path, unread: unread}, nil
}

// collectError gives an error of collecting its exit code and the next step.
func collectError(err error) error {
	e := &Error{Code: ExitIncomplete, Err: err, Hint: "'bartizan doctor' says who you are and what is missing"}
	var file *fs.PathError
	switch {
	case errors.As(err, &file):
		e.Hint = "free space, or choose another place with -o"
	case errors.Is(err, collect.ErrRegion):
		e.Code = ExitUsage
		e.Hint = "check --regions"
	case awsapi.IsBadCredentials(err), errors.Is(err, awsapi.ErrNoCredentials):
		e.Code = ExitUsage
		e.Hint = "give valid credentials: AWS_PROFILE, 'aws sso login', or --profile NAME"
	case awsapi.IsCanceled(err):
		e.Hint = "nothing was written; run it again"
	case awsapi.ErrorCode(err) == "":
		e.Hint = "check the network and --endpoint-url; 'bartizan doctor' tries each step"
	}
	return e
}
