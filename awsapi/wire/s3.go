package wire

import (
	"bytes"
	"strings"

	"github.com/bartizan-security/bartizan/awsapi/model"
)

// S3 strays from its protocol in two places.

// isBucketLocation: GetBucketLocation's root element is its only member.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html
func isBucketLocation(op *model.Operation) bool {
	return op.Service.Name == "s3" && op.Name == "GetBucketLocation"
}

func decodeBucketLocation(body []byte) (map[string]any, error) {
	root, err := parseXML(body)
	if err != nil {
		return nil, err
	}
	if inner := root.kid("LocationConstraint"); inner != nil {
		root = inner
	}
	out := map[string]any{}
	if region := strings.TrimSpace(root.text); region != "" { // us-east-1 has none
		out["LocationConstraint"] = strings.Clone(region)
	}
	return out, nil
}

func encodeBucketLocation(op *model.Operation, output map[string]any, r *Response) {
	x := &xmlWriter{}
	x.open("LocationConstraint", model.Namespace{URI: op.Service.XMLNamespace})
	region, _ := output["LocationConstraint"].(string)
	x.text(region)
	x.close("LocationConstraint")
	r.Header.Set("Content-Type", "application/xml")
	r.Body = x.b.Bytes()
}

// failedLate: operations that take long answer 200 first, to keep the connection
// open, and may then fail.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
func failedLate(op *model.Operation, body []byte) bool {
	if op.Service.Name != "s3" || op.Output == nil || op.Output.Payload != "" && op.Output.Member(op.Output.Payload).Shape.Kind != model.Structure {
		return false
	}
	head := body[:min(len(body), 512)]
	if bytes.HasPrefix(bytes.TrimSpace(head), []byte("<?xml")) {
		if i := bytes.Index(head, []byte("?>")); i >= 0 {
			head = head[i+2:]
		}
	}
	return bytes.HasPrefix(bytes.TrimSpace(head), []byte("<Error>"))
}
