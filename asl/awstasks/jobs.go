package awstasks

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/bartizan-security/bartizan/asl"
)

// job says how to follow what a .sync task started.
type job struct {
	operation string // that describes it
	input     func(started map[string]any) map[string]any
	find      func(described map[string]any) map[string]any // the job in the description
	status    string                                        // member of its status
	good, bad []string                                      // statuses that end it
}

func at(v any, path ...any) any {
	for _, p := range path {
		switch k := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[k]
		case int:
			l, _ := v.([]any)
			if k >= len(l) {
				return nil
			}
			v = l[k]
		}
	}
	return v
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// jobs are the integrations whose end can be waited for.
// https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-sync
var jobs = map[string]job{
	"sfn:startexecution": {
		operation: "describeExecution",
		input: func(s map[string]any) map[string]any {
			return map[string]any{"ExecutionArn": s["ExecutionArn"]}
		},
		find:   func(d map[string]any) map[string]any { return d },
		status: "Status", good: []string{"SUCCEEDED"}, bad: []string{"FAILED", "TIMED_OUT", "ABORTED"},
	},
	"codebuild:startbuild": {
		operation: "batchGetBuilds",
		input: func(s map[string]any) map[string]any {
			return map[string]any{"Ids": []any{at(s, "Build", "Id")}}
		},
		find:   func(d map[string]any) map[string]any { return object(at(d, "Builds", 0)) },
		status: "BuildStatus", good: []string{"SUCCEEDED"}, bad: []string{"FAILED", "FAULT", "TIMED_OUT", "STOPPED"},
	},
	"glue:startjobrun": {
		operation: "getJobRun",
		input: func(s map[string]any) map[string]any {
			return map[string]any{"JobName": s["JobName"], "RunId": s["JobRunId"]}
		},
		find:   func(d map[string]any) map[string]any { return object(d["JobRun"]) },
		status: "JobRunState", good: []string{"SUCCEEDED"}, bad: []string{"FAILED", "TIMEOUT", "STOPPED", "ERROR"},
	},
	"athena:startqueryexecution": {
		operation: "getQueryExecution",
		input: func(s map[string]any) map[string]any {
			return map[string]any{"QueryExecutionId": s["QueryExecutionId"]}
		},
		find: func(d map[string]any) map[string]any {
			q := object(d["QueryExecution"])
			if q != nil {
				q["State"] = at(q, "Status", "State")
			}
			return q
		},
		status: "State", good: []string{"SUCCEEDED"}, bad: []string{"FAILED", "CANCELLED"},
	},
	"batch:submitjob": {
		operation: "describeJobs",
		input:     func(s map[string]any) map[string]any { return map[string]any{"Jobs": []any{s["JobId"]}} },
		find:      func(d map[string]any) map[string]any { return object(at(d, "Jobs", 0)) },
		status:    "Status", good: []string{"SUCCEEDED"}, bad: []string{"FAILED"},
	},
	"ecs:runtask": {
		operation: "describeTasks",
		input: func(s map[string]any) map[string]any {
			return map[string]any{"Cluster": at(s, "Tasks", 0, "ClusterArn"), "Tasks": []any{at(s, "Tasks", 0, "TaskArn")}}
		},
		find:   func(d map[string]any) map[string]any { return object(at(d, "Tasks", 0)) },
		status: "LastStatus", good: []string{"STOPPED"},
	},
}

// follow looks at a job until it ends.
func (t *Tasks) follow(ctx context.Context, c Caller, to target, started map[string]any) ([]byte, error) {
	j := to.job
	input := j.input(started)
	for {
		d, err := c.Call(ctx, to.service, j.operation, input)
		if err != nil {
			return nil, refusal(to, err)
		}
		found := j.find(d)
		status, _ := found[j.status].(string)
		for _, s := range j.good {
			if s == status {
				return jobOutput(to, found)
			}
		}
		for _, s := range j.bad {
			if s == status {
				raw, err := json.Marshal(found)
				if err != nil {
					return nil, fmt.Errorf("encode job: %w", err)
				}
				return nil, &asl.TaskError{Name: "States.TaskFailed", Cause: string(raw)}
			}
		}
		timer := time.NewTimer(t.Poll)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
	}
}

// jobOutput is the job's description; .sync:2 of a nested execution gives its
// output as JSON rather than as text.
func jobOutput(to target, found map[string]any) ([]byte, error) {
	if to.version == "2" {
		for _, k := range []string{"Input", "Output"} {
			if s, ok := found[k].(string); ok && json.Valid([]byte(s)) {
				found[k] = json.RawMessage(s)
			}
		}
	}
	raw, err := json.Marshal(found)
	if err != nil {
		return nil, fmt.Errorf("encode job: %w", err)
	}
	return raw, nil
}
