package awsapi

import (
	"fmt"
	"time"
)

// ParseTime reads a timestamp of an output.
func ParseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("read time: %w", err)
	}
	return t, nil
}
