package logs_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/awsapi"
	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/logs"
	"github.com/bartizan-security/bartizan/internal/mototest"
)

// TestS3 reads logs from a bucket: delivered objects, a large one in pieces,
// and what is no log beside them.
func TestS3(t *testing.T) {
	client, err := awsapi.New(t.Context(), awsapi.Options{Endpoint: mototest.Start(t), Region: "us-east-1", MaxAttempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	call := func(operation string, input map[string]any) {
		t.Helper()
		if _, err := client.Call(t.Context(), "s3", operation, input); err != nil {
			t.Fatal(err)
		}
	}
	put := func(key, text string) {
		call("PutObject", map[string]any{"Bucket": "logs", "Key": key, "Body": base64.StdEncoding.EncodeToString([]byte(text))})
	}
	call("CreateBucket", map[string]any{"Bucket": "logs"})
	var large bytes.Buffer
	const many = 14000
	for i := range many {
		fmt.Fprintf(&large, `{"eventVersion":"1.08","eventID":"l%d","eventName":"X","eventSource":"y","pad":"%s"}`+"\n", i, strings.Repeat("p", 700))
	}
	put("AWSLogs/1/CloudTrail/a.json.gz", gz(`{"Records":[`+one+`]}`))
	put("AWSLogs/1/CloudTrail/b.json", large.String())
	put("AWSLogs/1/CloudTrail/c.json.gz", gz(`{"Records":[`+two+`]}`))
	put("AWSLogs/1/CloudTrail/readme.txt", "hello")
	put("other/x.json", "not to be read")

	sources, err := logs.S3(t.Context(), client, "s3://logs/AWSLogs/")
	if err != nil || len(sources) != 4 {
		t.Fatalf("%d sources, %v", len(sources), err)
	}
	var ids []string
	var total logs.Stats
	r := &logs.Reader{Schema: event.NewSchema(), Visit: func(e *event.Event) error {
		ids = append(ids, e.ID())
		return nil
	}, Problem: func(p logs.Problem) { t.Error(p) }}
	for _, s := range sources {
		stats, err := r.Read(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		total.Add(stats)
	}
	if len(ids) != many+2 || ids[0] != "one" || ids[many] != fmt.Sprintf("l%d", many-1) || ids[many+1] != "two" || total.NotLogs != 1 {
		t.Errorf("%d events, %+v", len(ids), total)
	}

	if _, err := logs.S3(t.Context(), client, "s3://nowhere/x"); err == nil || !strings.Contains(err.Error(), "NoSuchBucket") {
		t.Errorf("a bucket that is not there: %v", err)
	}
}

// TestRereadMatchesEncodingJSON checks that what the readers hand on is the
// record that was written.
func TestRereadMatchesEncodingJSON(t *testing.T) {
	var got []string
	r := &logs.Reader{Schema: event.NewSchema(), Visit: func(e *event.Event) error {
		doc, err := e.Document()
		if err != nil {
			return err
		}
		text, err := json.Marshal(doc)
		got = append(got, string(text))
		return err
	}}
	if _, err := r.Read(context.Background(), logs.FromReader("x", strings.NewReader(`{"Records":[`+one+`,`+two+`]}`))); err != nil {
		t.Fatal(err)
	}
	for i, text := range []string{one, two} {
		var doc map[string]any
		if err := json.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatal(err)
		}
		want, err := json.Marshal(doc)
		if err != nil || got[i] != string(want) {
			t.Errorf("%s\nwant %s, %v", got[i], want, err)
		}
	}
}
