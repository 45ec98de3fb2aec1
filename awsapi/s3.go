package awsapi

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"net/url"
	"strings"

	"github.com/bartizan-security/bartizan/awsapi/model"
	"github.com/bartizan-security/bartizan/awsapi/wire"
)

// bucketOf is the S3 bucket an input names, "" when there is none.
func bucketOf(op *model.Operation, input map[string]any) string {
	if op.Service.Name != "s3" {
		return ""
	}
	bucket, _ := input["Bucket"].(string)
	return bucket
}

func (c *Client) bucketRegion(bucket string) string {
	if bucket == "" {
		return ""
	}
	c.who.mu.Lock()
	defer c.who.mu.Unlock()
	return c.who.buckets[bucket]
}

func (c *Client) rememberBucket(bucket, region string) {
	c.who.mu.Lock()
	defer c.who.mu.Unlock()
	if len(c.who.buckets) > 100_000 {
		clear(c.who.buckets)
	}
	c.who.buckets[bucket] = region
}

// redirect is the region that S3 says a bucket lies in, when it is another than
// the one called.
func redirect(err error, called string) string {
	var e *Error
	if !errors.As(err, &e) || e.Service != "s3" {
		return ""
	}
	region, _ := e.Fields["Region"].(string)
	if region == "" || region == called || strings.ContainsAny(region, "/.:@ ") {
		return ""
	}
	switch {
	case e.Status >= 300 && e.Status < 400,
		e.Code == "PermanentRedirect", e.Code == "TemporaryRedirect", e.Code == "AuthorizationHeaderMalformed",
		e.Code == "IllegalLocationConstraintException" && e.Operation != "CreateBucket",
		e.Operation == "HeadBucket" && e.Status == 400:
		return region
	}
	return ""
}

// addressBucket moves the bucket from the path into the host name where that
// is S3's way: at AWS's own endpoints, for buckets whose name fits a host name.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
func (at *place) addressBucket(u *url.URL, path string) (string, error) {
	rest := strings.TrimPrefix(path, "/")
	bucket, key, _ := strings.Cut(rest, "/")
	if bucket == "" {
		return path, nil
	}
	if strings.HasPrefix(bucket, "arn%3A") {
		return "", errors.New("access points are addressed by their alias, not by their ARN")
	}
	if strings.HasSuffix(bucket, "--x-s3") && !at.custom {
		return "", errors.New("directory buckets are not supported")
	}
	if at.custom || !virtualHostable(bucket) || net.ParseIP(u.Hostname()) != nil {
		return path, nil
	}
	u.Host = bucket + "." + u.Host
	return "/" + key, nil
}

// virtualHostable says whether a bucket's name can stand in a host name under
// AWS's certificate: no dots, upper case or underscores.
func virtualHostable(bucket string) bool {
	if len(bucket) < 3 || len(bucket) > 63 || bucket[0] == '-' || bucket[len(bucket)-1] == '-' {
		return false
	}
	for _, c := range []byte(bucket) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// addChecksum adds the integrity header that an operation requires or takes.
// As AWS's own clients do, CRC-32 is used unless the input chooses.
func addChecksum(op *model.Operation, input map[string]any, r *wire.Request) error {
	sum := op.Checksum
	if !sum.Required && (sum.Member == "" || len(r.Body) == 0) {
		return nil
	}
	for name := range r.Header {
		if name == "Content-Md5" || strings.HasPrefix(name, "X-Amz-Checksum-") && name != "X-Amz-Checksum-Algorithm" && name != "X-Amz-Checksum-Type" {
			return nil
		}
	}
	if sum.Member == "" {
		d := md5.Sum(r.Body) // S3 wants MD5 against mishaps, not against attackers
		r.Header.Set("Content-Md5", base64.StdEncoding.EncodeToString(d[:]))
		return nil
	}
	algorithm, _ := input[sum.Member].(string)
	var digest []byte
	switch strings.ToUpper(algorithm) {
	case "", "CRC32":
		algorithm = "CRC32"
		digest = bigEndian(crc32.ChecksumIEEE(r.Body))
	case "CRC32C":
		digest = bigEndian(crc32.Checksum(r.Body, crc32.MakeTable(crc32.Castagnoli)))
	case "SHA1":
		d := sha1.Sum(r.Body)
		digest = d[:]
	case "SHA256":
		d := sha256.Sum256(r.Body)
		digest = d[:]
	default:
		return fmt.Errorf("%s: %q is not supported; choose CRC32, CRC32C, SHA1 or SHA256", sum.Member, algorithm)
	}
	algorithm = strings.ToUpper(algorithm)
	r.Header.Set("X-Amz-Sdk-Checksum-Algorithm", algorithm)
	r.Header.Set("X-Amz-Checksum-"+algorithm, base64.StdEncoding.EncodeToString(digest))
	return nil
}

func bigEndian(v uint32) []byte { return []byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)} }
