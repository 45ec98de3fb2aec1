package awsapi

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Error is what a service answered when it refused a call, or what became of a
// call that got no answer.
type Error struct {
	Service   string // as the AWS CLI calls it
	Operation string
	Region    string
	Code      string // AWS's error code; "" when no AWS answer came
	Message   string
	Status    int // of HTTP; 0 when no answer came
	RequestID string
	Fields    map[string]any // further members of the modelled error

	cause error
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", e.Service, e.Operation)
	if e.Region != "" {
		fmt.Fprintf(&b, " in %s", e.Region)
	}
	switch {
	case e.Code != "" && e.Message != "":
		fmt.Fprintf(&b, ": %s: %s", e.Code, e.Message)
	case e.Code != "":
		fmt.Fprintf(&b, ": %s", e.Code)
	case e.Message != "":
		fmt.Fprintf(&b, ": %s", e.Message)
	}
	if e.cause != nil {
		fmt.Fprintf(&b, ": %v", e.cause)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, " (HTTP %d", e.Status)
		if e.RequestID != "" {
			fmt.Fprintf(&b, ", request %s", e.RequestID)
		}
		b.WriteString(")")
	}
	return b.String()
}

// Unwrap returns what kept the call from an answer, if anything did.
func (e *Error) Unwrap() error { return e.cause }

// ErrorCode returns AWS's code of the error, or "".
func ErrorCode(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// accessDenied are the codes with which services say that the caller may not.
var accessDenied = []string{
	"AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException",
	"Client.UnauthorizedOperation", "NotAuthorized", "UnauthorizedException", "UnauthorizedOperation",
	"403", // the answer to HEAD has no body to say more
	"ForbiddenException", "Forbidden", "AccessDeniedFault", "AuthorizationException", "InsufficientPrivilegesException",
}

// throttled are the codes with which services ask for patience; the list is the
// one AWS's SDKs retry on, with the plain spellings some services use.
var throttled = []string{
	"Throttling", "ThrottlingException", "ThrottledException", "RequestThrottledException", "RequestThrottled",
	"TooManyRequestsException", "ProvisionedThroughputExceededException", "TransactionInProgressException",
	"RequestLimitExceeded", "BandwidthLimitExceeded", "LimitExceededException", "SlowDown",
	"PriorRequestNotComplete", "EC2ThrottledException", "Client.RequestLimitExceeded",
}

// badCredentials are the codes for credentials that AWS does not accept at all.
var badCredentials = []string{
	"InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch",
	"AuthFailure", "ExpiredToken", "ExpiredTokenException", "InvalidToken", "RequestExpired",
	"IncompleteSignature", "MissingAuthenticationToken", "InvalidSignatureException", "InvalidTokenException",
}

// IsAccessDenied reports whether AWS knows the caller and says no.
func IsAccessDenied(err error) bool {
	var e *Error
	return errors.As(err, &e) && (slices.Contains(accessDenied, e.Code) || e.Status == 403 && e.Code != "" && !slices.Contains(badCredentials, e.Code) && !slices.Contains(throttled, e.Code) && (strings.Contains(e.Code, "Denied") || strings.Contains(e.Code, "Forbidden")))
}

// IsThrottled reports whether AWS asks the caller to slow down.
func IsThrottled(err error) bool {
	var e *Error
	return errors.As(err, &e) && (slices.Contains(throttled, e.Code) || e.Status == 429)
}

// IsBadCredentials reports whether AWS does not accept the credentials.
func IsBadCredentials(err error) bool {
	var e *Error
	return errors.As(err, &e) && slices.Contains(badCredentials, e.Code)
}

// IsNoEndpoint reports whether the service is not offered in the region: the
// endpoint rules name no endpoint, or the host does not exist and the region is
// not among those that AWS lists for the service.
func IsNoEndpoint(err error) bool {
	var no *NoEndpointError
	return errors.As(err, &no)
}

// IsCanceled reports whether the caller's own context ended the call.
func IsCanceled(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// NoEndpointError says that a service is not offered where it was called.
type NoEndpointError struct{ Service, Region, Reason string }

func (e *NoEndpointError) Error() string {
	if e.Reason != "" {
		return fmt.Sprintf("%s has no endpoint in %q: %s", e.Service, e.Region, e.Reason)
	}
	return fmt.Sprintf("%s has no endpoint in %q", e.Service, e.Region)
}
