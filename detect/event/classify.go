package event

import "bytes"

// has reports whether the record has the member at the head of a standard path.
func (e *Event) has(s Slot) bool {
	_, end := e.top(e.schema.heads[s])
	return end > 0
}

// member returns the JSON text of a top-level member that is a standard path.
func (e *Event) member(s Slot) []byte {
	start, end := e.top(e.schema.heads[s])
	return e.raw[start:end]
}

// Wrapped is what a JSON object turned out to be.
type Wrapped uint8

// A JSON object is a record of a log, holds other records, or is neither.
const (
	Record    Wrapped = iota // Kind says which
	Inside                   // one record inside: Inner returns it
	Container                // an array of records inside
	Digest                   // a digest file of CloudTrail, which holds no events
	Other
)

// Classify says what the scanned JSON object is, by its members, and sets Kind.
func (e *Event) Classify() Wrapped {
	e.Kind = Unknown
	switch {
	case e.has(SlotName) && (e.has(SlotSource) || e.has(slotVersion)), e.has(slotInsights), e.has(slotVersion) && e.has(SlotID):
		e.Kind = CloudTrail
	case e.has(slotDetailType) && e.has(slotDetail), e.has(slotLookup):
		return Inside
	case e.has(slotDigest):
		return Digest
	case e.has(slotRecords), e.has(slotEvents), e.has(slotLogEvents), e.has(slotFindings), e.has(slotFindingsLower), e.has(slotRows):
		return Container
	case e.has(slotWebACL):
		e.Kind = WAF
	case e.has(slotQueryName):
		e.Kind = DNS
	case e.has(slotProductARN):
		e.Kind = SecurityHub
	case e.has(slotGuardDuty) && e.has(slotFindingType), e.has(slotGuardDutyUpper) && e.has(slotFindingTypeUpper):
		e.Kind = GuardDuty
	case e.has(SlotName) && (e.has(SlotID) || e.has(SlotTime)), e.has(SlotIdentityType) && e.has(SlotSource):
		e.Kind = CloudTrail
	case e.has(slotMetadata), e.has(slotMessage), e.has(slotMessageUpper), e.has(slotBody):
		return Inside
	case e.has(slotEventsLower):
		return Container
	default:
		return Other
	}
	return Record
}

// Inner returns the JSON text of the record inside a wrapper: the detail of an
// EventBridge event, the CloudTrailEvent of lookup-events, the message of
// CloudWatch Logs, SNS or SQS. It is nil where there is none.
func (e *Event) Inner() []byte {
	for _, s := range []Slot{slotDetail, slotLookup, slotMetadata, slotMessage, slotMessageUpper, slotBody} {
		if !e.has(s) {
			continue
		}
		t := e.member(s)
		if len(t) > 2 && t[0] == '"' {
			t = AppendUnescaped(make([]byte, 0, len(t)), t[1:len(t)-1])
		}
		if i := SkipSpace(t, 0); i < len(t) && (t[i] == '{' || t[i] == '[') {
			return t[i:]
		}
	}
	return nil
}

// Line returns the line of a log of lines inside a wrapper: the message of
// CloudWatch Logs. It is nil where there is none.
func (e *Event) Line() []byte {
	if !e.has(slotMessage) {
		return nil
	}
	t := e.member(slotMessage)
	if len(t) < 3 || t[0] != '"' {
		return nil
	}
	return bytes.TrimRight(AppendUnescaped(nil, t[1:len(t)-1]), "\r\n")
}

// IsUpperCase reports whether a GuardDuty finding is written as the command line
// writes it (Type, Service), not as the service delivers it (type, service).
func (e *Event) IsUpperCase() bool {
	return e.Kind == GuardDuty && e.has(slotFindingTypeUpper) && !e.has(slotFindingType)
}
