package awsapi_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/bartizan-security/bartizan/awsapi"
	"github.com/bartizan-security/bartizan/internal/mototest"
)

// TestLive: what needs a server but no comparison.
func TestLive(t *testing.T) {
	endpoint := mototest.Start(t)
	ctx := t.Context()
	c, err := awsapi.New(ctx, awsapi.Options{Endpoint: endpoint, Region: "us-east-1", MaxAttempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	must := func(service, operation string, input map[string]any) map[string]any {
		t.Helper()
		out, err := c.Call(ctx, service, operation, input)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	t.Run("waiter", func(t *testing.T) {
		if err := c.Wait(ctx, "s3", "bucket-not-exists", map[string]any{"Bucket": "waited-for"}); err != nil {
			t.Error(err)
		}
		must("s3", "CreateBucket", map[string]any{"Bucket": "waited-for"})
		if err := c.Wait(ctx, "s3", "BucketExists", map[string]any{"Bucket": "waited-for"}); err != nil {
			t.Error(err)
		}
	})
	t.Run("pages", func(t *testing.T) {
		for i := range 25 {
			must("s3", "PutObject", map[string]any{"Bucket": "waited-for", "Key": fmt.Sprintf("key %02d+", i), "Body": []byte("x")})
		}
		pages, keys := 0, 0
		for page, err := range c.Pages(ctx, "s3", "ListObjectsV2", map[string]any{"Bucket": "waited-for", "MaxKeys": 10}) {
			if err != nil {
				t.Fatal(err)
			}
			pages++
			for _, o := range page["Contents"].([]any) {
				if got, want := o.(map[string]any)["Key"], fmt.Sprintf("key %02d+", keys); got != want {
					t.Errorf("got %v, want %s", got, want)
				}
				keys++
			}
		}
		if pages != 3 || keys != 25 {
			t.Errorf("%d keys on %d pages", keys, pages)
		}
		all, err := c.All(ctx, "s3", "ListObjectsV2", map[string]any{"Bucket": "waited-for", "MaxKeys": 10})
		if err != nil || len(all["Contents"].([]any)) != 25 {
			t.Errorf("%v, %v", all, err)
		}
	})
	t.Run("role in another account", func(t *testing.T) {
		role, err := c.AssumeRole(ctx, "arn:aws:iam::210987654321:role/audit", "x", "bartizan")
		if err != nil {
			t.Fatal(err)
		}
		out, err := role.Call(ctx, "sts", "GetCallerIdentity", nil)
		if err != nil || out["Account"] != "210987654321" {
			t.Errorf("%v, %v", out, err)
		}
	})
	t.Run("account in the host name", func(t *testing.T) {
		_, err := c.Call(ctx, "s3control", "GetPublicAccessBlock", map[string]any{"AccountId": "123456789012"})
		if awsapi.ErrorCode(err) != "NoSuchPublicAccessBlockConfiguration" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("profile", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "config")
		text := fmt.Sprintf("[profile audit]\nregion = eu-west-3\naws_access_key_id = a\naws_secret_access_key = b\nservices = local\n[services local]\nec2 =\n  endpoint_url = %s\n", endpoint)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("AWS_CONFIG_FILE", file)
		t.Setenv("AWS_REGION", "")
		t.Setenv("AWS_DEFAULT_REGION", "")
		p, err := awsapi.New(ctx, awsapi.Options{Profile: "audit"})
		if err != nil {
			t.Fatal(err)
		}
		out, err := p.Call(ctx, "ec2", "DescribeAvailabilityZones", nil)
		if err != nil || p.Region() != "eu-west-3" {
			t.Fatalf("%v, %v", out, err)
		}
		if zone := out["AvailabilityZones"].([]any)[0].(map[string]any)["RegionName"]; zone != "eu-west-3" {
			t.Errorf("asked %v", zone)
		}
		if _, err := awsapi.New(ctx, awsapi.Options{Profile: "nobody"}); err == nil {
			t.Error("a profile that does not exist is accepted")
		}
	})
}
