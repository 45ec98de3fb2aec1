package finding

import "time"

// Incident is what one actor did: detections that belong together, in order of
// time, with the sessions that lead back to whoever began it.
type Incident struct {
	ID         string    `json:"id"` // stable over runs: see package detect/incident
	Title      string    `json:"title"`
	Severity   Severity  `json:"severity"`
	Start      time.Time `json:"start"`
	End        time.Time `json:"end"`
	Actor      string    `json:"actor"` // who began it: the originating principal
	Account    string    `json:"account,omitempty"`
	Automation string    `json:"automation,omitempty"` // why the actor is known automation
	Hints      []string  `json:"hints,omitempty"`      // what looks like automation, by name alone
	// Because lists the terms of the severity, in the order they were applied.
	Because    []string       `json:"because"`
	Reach      []Reach        `json:"reach,omitempty"` // what the estate says; nil without one
	Tactics    []string       `json:"tactics"`         // ATT&CK tactics in the order in which they began
	Techniques []string       `json:"techniques"`
	Alerts     int            `json:"alerts"` // detections that belong to it
	Timeline   []IncidentStep `json:"timeline"`
	Cut        int            `json:"cut,omitempty"` // steps that the timeline leaves out
	Sessions   []SessionLink  `json:"sessions,omitempty"`
	Principals []Entity       `json:"principals,omitempty"`
	AccessKeys []Entity       `json:"accessKeys,omitempty"`
	Addresses  []Entity       `json:"addresses,omitempty"`
	Resources  []Entity       `json:"resources,omitempty"`
	EventIDs   []string       `json:"eventIds"` // evidence, at most 200
}

// IncidentStep is detections of one rule by one session on one resource within
// an hour.
type IncidentStep struct {
	Time       time.Time `json:"time"`
	Last       time.Time `json:"last"`
	Count      int       `json:"count"`
	RuleID     string    `json:"ruleId"`
	Title      string    `json:"title"`
	Severity   Severity  `json:"severity"`
	Tactics    []string  `json:"tactics,omitempty"`
	Techniques []string  `json:"techniques,omitempty"`
	Actor      string    `json:"actor,omitempty"` // as the event names it: a session, not its origin
	Source     string    `json:"source,omitempty"`
	Resource   Resource  `json:"resource"`
	Error      string    `json:"error,omitempty"` // the error code where the calls failed
	EventIDs   []string  `json:"eventIds"`
	Reach      string    `json:"reach,omitempty"` // what this step made possible, by the estate
}

// SessionLink is one step back from a session, or from credentials that were
// made, to who opened or made them.
type SessionLink struct {
	From    string    `json:"from"`              // who
	To      string    `json:"to"`                // the session or principal
	How     string    `json:"how"`               // AssumeRole, CreateAccessKey
	Proof   string    `json:"proof"`             // what the two sides have in common
	EventID string    `json:"eventId,omitempty"` // of the call; empty where the later events say it themselves
	Time    time.Time `json:"time,omitzero"`
}

// Entity is somebody or something in an incident.
type Entity struct {
	Name  string `json:"name"`
	Note  string `json:"note,omitempty"`
	Count int    `json:"count"` // detections
}

// Reach is what somebody may do by an estate's policies.
type Reach struct {
	Principal string `json:"principal"`
	Answer    string `json:"answer"` // administrator, limited, or unknown
	Reason    string `json:"reason"`
}
