package finding

import "time"

// Mute is one rule of a mute file. A finding it matches keeps its place in the
// report with StatusMuted and is counted apart. Empty selectors match all;
// Control, Resource, Account and Region take * and ? wildcards.
type Mute struct {
	Control     string            `json:"control,omitempty" yaml:"control,omitempty"`
	Fingerprint string            `json:"fingerprint,omitempty" yaml:"fingerprint,omitempty"`
	Resource    string            `json:"resource,omitempty" yaml:"resource,omitempty"` // id or ARN
	Account     string            `json:"account,omitempty" yaml:"account,omitempty"`
	Region      string            `json:"region,omitempty" yaml:"region,omitempty"`
	Tags        map[string]string `json:"tags,omitempty" yaml:"tags,omitempty"`
	Reason      string            `json:"reason" yaml:"reason"`
	Owner       string            `json:"owner" yaml:"owner"`
	Expires     time.Time         `json:"expires" yaml:"expires"`
}
