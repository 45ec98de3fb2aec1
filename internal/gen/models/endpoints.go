package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"sort"
	"strings"

	"github.com/bartizan-security/bartizan/awsapi/model"
)

// account stands for the caller's account id while rules are evaluated; where it
// shows up in an answer, the client puts the operation's AccountId.
const account = "111122223333"

func (r *release) partitions() ([]model.Partition, *evaluator, error) {
	data, err := r.read("partitions.json")
	if err != nil {
		return nil, nil, err
	}
	var raw struct {
		Partitions []rawPartition `json:"partitions"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, nil, fmt.Errorf("read partitions: %w", err)
	}
	var out []model.Partition
	for i := range raw.Partitions {
		p := &raw.Partitions[i]
		if p.regex, err = regexp.Compile(p.RegionRegex); err != nil {
			return nil, nil, fmt.Errorf("read partitions: %w", err)
		}
		suffix, _ := p.Outputs["dnsSuffix"].(string)
		global, _ := p.Outputs["implicitGlobalRegion"].(string)
		out = append(out, model.Partition{ID: p.ID, Regex: p.RegionRegex, Regions: regions(p), DNSSuffix: suffix, Global: global})
	}
	return out, &evaluator{raw.Partitions}, nil
}

func regions(p *rawPartition) []string {
	var names []string
	for r := range p.Regions {
		names = append(names, r)
	}
	sort.Strings(names)
	return names
}

// listed returns the regions in which AWS lists each service, by its endpoint
// prefix. Entries that are no region, such as fips-us-east-1, are left out.
func (r *release) listed() (map[string][]string, error) {
	data, err := r.read("endpoints.json")
	if err != nil {
		return nil, err
	}
	var raw struct {
		Partitions []struct {
			Regions  map[string]any `json:"regions"`
			Services map[string]struct {
				Endpoints map[string]any `json:"endpoints"`
			} `json:"services"`
		} `json:"partitions"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("read endpoints: %w", err)
	}
	out := map[string][]string{}
	for _, p := range raw.Partitions {
		for prefix, s := range p.Services {
			for region := range s.Endpoints {
				if _, ok := p.Regions[region]; ok {
					out[prefix] = append(out[prefix], region)
				}
			}
		}
	}
	for _, list := range out {
		sort.Strings(list)
	}
	return out, nil
}

// endpoints evaluates the rules for every region, and gives each operation the
// answers for its own constant parameters.
func (e *evaluator) endpoints(s *model.Service, ruleset, service []byte) error {
	if ruleset == nil {
		return fmt.Errorf("there are none")
	}
	set, err := parseRules(ruleset)
	if err != nil {
		return err
	}
	var raw struct {
		Operations map[string]struct {
			Static map[string]struct {
				Value any `json:"value"`
			} `json:"staticContextParams"`
		} `json:"operations"`
	}
	if err := json.Unmarshal(service, &raw); err != nil {
		return err
	}
	var sets []model.Endpoints
	seen := map[string]int{}
	add := func(params scope) (int, error) {
		key, err := json.Marshal(params)
		if err != nil {
			return 0, err
		}
		if i, ok := seen[string(key)]; ok {
			return i, nil
		}
		made, err := e.all(set, params)
		if err != nil {
			return 0, err
		}
		for i := range sets {
			if reflect.DeepEqual(sets[i], made) {
				seen[string(key)] = i
				return i, nil
			}
		}
		sets = append(sets, made)
		seen[string(key)] = len(sets) - 1
		return len(sets) - 1, nil
	}
	if _, err := add(scope{}); err != nil {
		return err
	}
	index := map[string]int{}
	for _, op := range s.Operations {
		params := scope{}
		for k, v := range raw.Operations[op.Name].Static {
			// Directory buckets live elsewhere and are not supported; without the
			// bucket's name the rules would send every bucket there.
			if k != "UseS3ExpressControlEndpoint" {
				params[k] = v.Value
			}
		}
		if needsAccount(op) && set.Parameters["AccountId"].BuiltIn == "" {
			params["AccountId"] = account
			// The rules put the account into the host name, once is enough.
			if op.HostPrefix == "{AccountId}." {
				op.HostPrefix = ""
			}
		}
		i, err := add(params)
		if err != nil {
			return fmt.Errorf("%s: %w", op.Name, err)
		}
		index[op.Name] = i
	}
	s.SetEndpoints(sets, func(op *model.Operation) int { return index[op.Name] })
	return nil
}

func needsAccount(op *model.Operation) bool {
	if op.Input != nil {
		for _, m := range op.Input.Members {
			if m.ContextParam == "AccountId" {
				return true
			}
		}
	}
	return false
}

func (e *evaluator) all(set *ruleSet, params scope) (model.Endpoints, error) {
	var out model.Endpoints
	for v := range out.Variants {
		for i := range e.partitions {
			list, err := e.inPartition(set, params, &e.partitions[i], v)
			if err != nil {
				return out, err
			}
			out.Variants[v] = append(out.Variants[v], list...)
		}
	}
	return out, nil
}

// inPartition groups the regions of a partition by their answer. The commonest
// answer becomes the rule, the others its exceptions.
func (e *evaluator) inPartition(set *ruleSet, params scope, p *rawPartition, variant int) ([]model.Endpoint, error) {
	names := regions(p)
	answers := map[string]answer{}
	votes := map[answer]int{}
	for _, region := range names {
		in := scope{"Region": region, "UseFIPS": variant&1 != 0, "UseDualStack": variant&2 != 0}
		for k, v := range params {
			in[k] = v
		}
		a, err := e.evaluate(set, in)
		if errors.Is(err, errNoRule) {
			a = answer{err: "the service's endpoint rules do not cover the region"}
		} else if err != nil {
			return nil, err
		}
		a.url = strings.ReplaceAll(a.url, account, "{AccountId}")
		answers[region] = a
		votes[general(a, region)]++
	}
	var rule answer
	best := 0
	for _, region := range names {
		if g := general(answers[region], region); votes[g] > best {
			rule, best = g, votes[g]
		}
	}
	out := []model.Endpoint{entry(p.ID, nil, rule)}
	exceptions := map[answer]int{}
	for _, region := range names {
		a := answers[region]
		if special(rule, region) == a {
			continue
		}
		g := general(a, region)
		i, ok := exceptions[g]
		if !ok {
			i = len(out)
			exceptions[g] = i
			out = append(out, entry(p.ID, nil, g))
		}
		out[i].Regions = append(out[i].Regions, region)
	}
	return out, nil
}

func entry(partition string, regions []string, a answer) model.Endpoint {
	return model.Endpoint{Partition: partition, Regions: regions, URL: a.url, SigningName: a.signingName, SigningRegion: a.signingRegion, Error: a.err}
}

// general puts {region} where the region stands, special undoes it.
func general(a answer, region string) answer {
	a.url = strings.ReplaceAll(a.url, region, "{region}")
	a.signingRegion = strings.ReplaceAll(a.signingRegion, region, "{region}")
	return a
}

func special(a answer, region string) answer {
	a.url = strings.ReplaceAll(a.url, "{region}", region)
	a.signingRegion = strings.ReplaceAll(a.signingRegion, "{region}", region)
	return a
}
