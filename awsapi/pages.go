package awsapi

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"sync"

	"github.com/bartizan-security/bartizan/awsapi/internal/jmes"
	"github.com/bartizan-security/bartizan/awsapi/model"
)

// compiled remembers the expressions of paginators and waiters.
var compiled sync.Map // string: *jmes.Expression

func search(expression string, v any) (any, error) {
	if known, ok := compiled.Load(expression); ok {
		return known.(*jmes.Expression).Search(v), nil
	}
	e, err := jmes.Compile(expression)
	if err != nil {
		return nil, err
	}
	compiled.Store(expression, e)
	return e.Search(v), nil
}

// Pages calls an operation until its paginator says that there is no more, and
// yields each page. An operation without paginator yields its one answer. After
// an error nothing more is yielded.
func (c *Client) Pages(ctx context.Context, service, operation string, input map[string]any) iter.Seq2[map[string]any, error] {
	return func(yield func(map[string]any, error) bool) {
		op, err := LookupOperation(service, operation)
		if err != nil {
			yield(nil, err)
			return
		}
		in := input
		for {
			page, err := c.call(ctx, op, in)
			if err == nil {
				page = polish(op, page)
			}
			if !yield(page, err) || err != nil || op.Paginator == nil {
				return
			}
			next, more, err := nextInput(op, in, page)
			if err != nil {
				yield(nil, err)
				return
			}
			if !more {
				return
			}
			in = next
		}
	}
}

// nextInput puts a page's tokens into the input of the next call.
func nextInput(op *model.Operation, input, page map[string]any) (map[string]any, bool, error) {
	p := op.Paginator
	if p.MoreResults != "" {
		more, err := search(p.MoreResults, page)
		if err != nil || !jmes.Truthy(more) {
			return nil, false, err
		}
	}
	out := make(map[string]any, len(input)+1)
	for k, v := range input {
		out[k] = v
	}
	more, same := false, true
	for i, name := range p.InputTokens {
		token, err := search(p.OutputTokens[i], page)
		if err != nil {
			return nil, false, err
		}
		same = same && reflect.DeepEqual(token, out[name])
		if jmes.Truthy(token) {
			more = true
			out[name] = token
		} else {
			delete(out, name)
		}
	}
	if more && same {
		return nil, false, fmt.Errorf("%s %s: page after page has the same token; the listing would never end", op.Service.Name, op.Name)
	}
	return out, more, nil
}

// All is the pages of an operation joined into one output, as the AWS CLI joins
// them: lists and numbers of the result add up, the rest is the first page's.
func (c *Client) All(ctx context.Context, service, operation string, input map[string]any) (map[string]any, error) {
	op, err := LookupOperation(service, operation)
	if err != nil {
		return nil, err
	}
	var all map[string]any
	for page, err := range c.Pages(ctx, service, operation, input) {
		if err != nil {
			return nil, err
		}
		if all == nil {
			all = page
			continue
		}
		for _, key := range op.Paginator.ResultKeys {
			join(all, page, strings.Split(key, "."))
		}
	}
	if op.Paginator != nil {
		for _, token := range op.Paginator.OutputTokens {
			delete(all, token)
		}
		if op.Paginator.MoreResults != "" {
			delete(all, op.Paginator.MoreResults)
		}
	}
	return all, nil
}

// join adds what a page has at a path to the output.
func join(all, page map[string]any, path []string) {
	name := path[0]
	more, ok := page[name]
	if !ok || more == nil {
		return
	}
	if len(path) > 1 {
		inner, ok1 := all[name].(map[string]any)
		next, ok2 := more.(map[string]any)
		switch {
		case ok1 && ok2:
			join(inner, next, path[1:])
		case all[name] == nil:
			all[name] = more
		}
		return
	}
	switch v := all[name].(type) {
	case nil:
		all[name] = more
	case []any:
		if list, ok := more.([]any); ok {
			all[name] = append(v, list...)
		}
	case string:
		if s, ok := more.(string); ok {
			all[name] = v + s
		}
	case int64:
		if n, ok := more.(int64); ok {
			all[name] = v + n
		}
	case float64:
		if n, ok := more.(float64); ok {
			all[name] = v + n
		}
	case map[string]any:
		if m, ok := more.(map[string]any); ok {
			for k, e := range m {
				v[k] = e
			}
		}
	}
}
