package logs

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
)

// API calls AWS operations by name; *awsapi.Client is one.
type API interface {
	Call(ctx context.Context, service, operation string, input map[string]any) (map[string]any, error)
	Pages(ctx context.Context, service, operation string, input map[string]any) iter.Seq2[map[string]any, error]
}

// IsS3 reports whether a path means objects of S3: s3://bucket/prefix.
func IsS3(path string) bool { return strings.HasPrefix(path, "s3://") }

// S3 lists the objects behind s3://bucket/prefix, in the order of their keys,
// which for CloudTrail and the other logs is that of account, region and time.
// It needs s3:ListBucket on the bucket and, to read them, s3:GetObject.
func S3(ctx context.Context, api API, url string) ([]Source, error) {
	bucket, prefix, _ := strings.Cut(strings.TrimPrefix(url, "s3://"), "/")
	if bucket == "" {
		return nil, fmt.Errorf("list %s: want s3://bucket/prefix", url)
	}
	var out []Source
	for page, err := range api.Pages(ctx, "s3", "ListObjectsV2", map[string]any{"Bucket": bucket, "Prefix": prefix}) {
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", url, err)
		}
		contents, _ := page["Contents"].([]any)
		for _, c := range contents {
			object, _ := c.(map[string]any)
			key, _ := object["Key"].(string)
			if key == "" || strings.HasSuffix(key, "/") {
				continue // the empty object that the console makes for a folder
			}
			out = append(out, &s3Source{api: api, bucket: bucket, key: key, size: integer(object["Size"]), named: key == prefix})
		}
	}
	return out, nil
}

func integer(v any) int64 {
	switch n := v.(type) {
	case int64:
		return n
	case int:
		return int64(n)
	case float64:
		return int64(n)
	}
	return 0
}

type s3Source struct {
	api         API
	bucket, key string
	size        int64
	named       bool
}

func (s *s3Source) Name() string { return "s3://" + s.bucket + "/" + s.key }
func (s *s3Source) Named() bool  { return s.named }

// Open returns a reader that fetches the object piece by piece.
func (s *s3Source) Open(ctx context.Context) (io.ReadCloser, error) {
	return &s3Reader{ctx: ctx, s: s}, nil
}

// piece is how much of an object is fetched at once.
const piece = 8 << 20

type s3Reader struct {
	ctx  context.Context
	s    *s3Source
	at   int64
	etag string
	rest []byte
}

func (r *s3Reader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.at >= r.s.size {
			return 0, io.EOF
		}
		if err := r.fetch(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *s3Reader) fetch() error {
	input := map[string]any{"Bucket": r.s.bucket, "Key": r.s.key}
	if r.s.size > piece {
		input["Range"] = fmt.Sprintf("bytes=%d-%d", r.at, min(r.at+piece, r.s.size)-1)
	}
	if r.etag != "" {
		input["IfMatch"] = r.etag // the object must not change under the reader
	}
	answer, err := r.s.api.Call(r.ctx, "s3", "GetObject", input)
	if err != nil {
		return fmt.Errorf("get object: %w", err)
	}
	switch body := answer["Body"].(type) {
	case []byte:
		r.rest = body
	case string:
		if r.rest, err = base64.StdEncoding.DecodeString(body); err != nil {
			return fmt.Errorf("get object: %w", err)
		}
	}
	r.etag, _ = answer["ETag"].(string)
	if len(r.rest) == 0 {
		return errors.New("get object: the answer is empty, though the object was not when it was listed")
	}
	r.at += int64(len(r.rest))
	return nil
}

func (r *s3Reader) Close() error { return nil }
