package model

import "strings"

// Endpoints is where a service (or those of its operations that share the same
// rules) is reached: AWS's endpoint rules, evaluated for every region when the
// models were generated.
type Endpoints struct {
	// Variants is indexed by fips + 2*dualstack.
	Variants [4][]Endpoint
}

// Endpoint is the answer of the rules for a set of regions of one partition.
type Endpoint struct {
	Partition     string   // "aws", "aws-cn" …
	Regions       []string // nil: every region of the partition that no other entry names
	URL           string   // with {region} where the region stands; "" when Error is set
	SigningName   string   // "" for the service's own
	SigningRegion string   // "" for the region called
	Error         string   // why there is none
}

// Lookup returns the endpoint of a region in a partition, and whether there is one.
func (e *Endpoints) Lookup(partition, region string, fips, dualstack bool) (Endpoint, bool) {
	i := 0
	if fips {
		i |= 1
	}
	if dualstack {
		i |= 2
	}
	var fallback *Endpoint
	for n := range e.Variants[i] {
		ep := &e.Variants[i][n]
		if ep.Partition != partition {
			continue
		}
		if ep.Regions == nil {
			fallback = ep
			continue
		}
		for _, r := range ep.Regions {
			if r == region {
				return ep.in(region), true
			}
		}
	}
	if fallback == nil {
		return Endpoint{}, false
	}
	return fallback.in(region), true
}

func (e *Endpoint) in(region string) Endpoint {
	out := *e
	out.URL = strings.ReplaceAll(e.URL, "{region}", region)
	out.SigningRegion = strings.ReplaceAll(e.SigningRegion, "{region}", region)
	return out
}
