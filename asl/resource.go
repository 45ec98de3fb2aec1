package asl

import (
	"regexp"
	"strings"
)

// The patterns of a service integration.
// https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html
const (
	requestResponse = ""
	runAJob         = "sync"
	callback        = "waitForTaskToken"
)

// resource is a Task's Resource, taken apart.
type resource struct {
	kind    taskKind
	service string // lambda, aws-sdk:s3
	action  string // invoke, sendMessage.waitForTaskToken
	pattern string // sync or waitForTaskToken
}

type taskKind uint8

const (
	integrationTask taskKind = iota
	lambdaTask
	activityTask
	otherTask
)

var (
	lambdaARN      = regexp.MustCompile(`^arn:[^:]+:lambda:[^:]*:[^:]*:function:.+$`)
	activityARN    = regexp.MustCompile(`^arn:[^:]+:states:[^:]*:[^:]*:activity:.+$`)
	integrationARN = regexp.MustCompile(`^arn:[^:]+:states:[^:]*:[^:]*:([A-Za-z0-9-]+(?::[A-Za-z0-9-]+)?):([A-Za-z0-9]+(?:\.[A-Za-z0-9:]+)?)$`)
	lambdaLike     = regexp.MustCompile(`^arn:[^:]+:lambda:`)
)

func parseResource(s string) resource {
	switch {
	case activityARN.MatchString(s):
		return resource{kind: activityTask, action: s}
	case lambdaARN.MatchString(s), lambdaLike.MatchString(s):
		return resource{kind: lambdaTask, action: s}
	}
	if m := integrationARN.FindStringSubmatch(s); m != nil {
		r := resource{kind: integrationTask, service: m[1], action: m[2]}
		if _, suffix, ok := strings.Cut(m[2], "."); ok {
			switch {
			case suffix == callback:
				r.pattern = callback
			case suffix == "sync" || strings.HasPrefix(suffix, "sync:"):
				r.pattern = runAJob
			}
		}
		return r
	}
	return resource{kind: otherTask, action: s}
}

// The services that have no callback, and those that run no job, among the
// optimised integrations.
// https://docs.aws.amazon.com/step-functions/latest/dg/integrate-optimized.html
var (
	noCallback = map[string]bool{"athena": true, "batch": true, "codebuild": true, "dynamodb": true, "glue": true, "databrew": true}
	noJob      = map[string]bool{"dynamodb": true, "events": true, "lambda": true, "sns": true, "sqs": true, "apigateway": true}
)

// lacksPattern reports whether the resource asks for a pattern that its service
// does not have. A service that is not known here is taken at its word.
func (r resource) lacksPattern() bool {
	switch r.pattern {
	case callback:
		return noCallback[r.service]
	case runAJob:
		return noJob[r.service] || strings.HasPrefix(r.service, "aws-sdk:")
	}
	return false
}
