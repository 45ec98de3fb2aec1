// Package awsapi calls any operation of any AWS service by name, driven by the
// models AWS publishes of its own services.
//
// [Lookup] and [LookupOperation] find a service and an operation under any of
// the names in use (the AWS CLI's, boto3's, Step Functions'). A [Client] calls
// them: [Client.Call] takes and returns the JSON that the AWS CLI shows,
// [Client.Pages] follows a paginator, [Client.Wait] a waiter. [Error] is what
// AWS answered when it refused. Package model describes services, package wire
// turns values into HTTP messages and back, on the client's and on the
// server's side.
//
// # Caveats
//
// In values, blobs are base64 strings (a []byte is accepted too), timestamps are
// RFC 3339 strings, integers int64, other numbers float64, lists []any and
// structures and maps map[string]any. Streaming bodies are read whole, up to the
// limit in [Options]. Event streams are not supported.
package awsapi
