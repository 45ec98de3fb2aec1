package estate

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"time"
)

// Header says what an estate is: who read it, when, with what, and how far.
type Header struct {
	Schema int       `json:"schema"`           // version of the file's layout
	Time   time.Time `json:"time"`             // when reading began
	Caller string    `json:"caller,omitempty"` // ARN of the identity that read it
	Scope  Scope     `json:"scope"`
	Tool   string    `json:"tool,omitempty"` // name and version of what wrote it
}

// Scope says what was asked for. What was asked for and could not be read is a Gap.
type Scope struct {
	Accounts []string `json:"accounts,omitempty"`
	Regions  []string `json:"regions,omitempty"`
	Types    []string `json:"types,omitempty"`
}

// Account is everything an estate knows about one AWS account.
type Account struct {
	ID        string // twelve digits
	Resources []*Resource
	Gaps      []Gap // what hides whole resources; for parts see Resource.Unknown
}

// Sort brings the account's resources and gaps into the order of a snapshot:
// type, region, id.
func (a *Account) Sort() {
	slices.SortStableFunc(a.Resources, compareResources)
	slices.SortStableFunc(a.Gaps, compareGaps)
	for _, r := range a.Resources {
		slices.SortStableFunc(r.Unknown, compareGaps)
	}
}

func compareResources(a, b *Resource) int {
	return cmp.Or(strings.Compare(a.Type, b.Type), strings.Compare(a.Region, b.Region), strings.Compare(a.ID, b.ID))
}

func compareGaps(a, b Gap) int {
	return cmp.Or(strings.Compare(a.Type, b.Type), strings.Compare(a.Region, b.Region), strings.Compare(a.Part, b.Part),
		strings.Compare(a.Operation, b.Operation), strings.Compare(a.Code, b.Code), strings.Compare(a.Reason, b.Reason))
}

// Source gives an estate account by account, in ascending order of account id,
// so that what walks it needs memory for one account only. Accounts may be
// called once; an error ends the walk.
type Source interface {
	Header() Header
	Accounts() iter.Seq2[*Account, error]
}

var (
	_ Source = (*Reader)(nil)
	_ Source = (*Estate)(nil)
)

// Estate is a whole estate in memory.
type Estate struct {
	Head Header
	List []*Account // ascending by id, each sorted
}

// New groups resources and gaps by account and sorts them.
func New(head Header, resources []*Resource, gaps []Gap) *Estate {
	byID := map[string]*Account{}
	account := func(id string) *Account {
		if byID[id] == nil {
			byID[id] = &Account{ID: id}
		}
		return byID[id]
	}
	for _, r := range resources {
		a := account(r.Account)
		a.Resources = append(a.Resources, r)
	}
	for _, g := range gaps {
		a := account(g.Account)
		a.Gaps = append(a.Gaps, g)
	}
	e := &Estate{Head: head}
	for _, id := range sortedKeys(byID) {
		byID[id].Sort()
		e.List = append(e.List, byID[id])
	}
	return e
}

// Load reads a whole source into memory.
func Load(s Source) (*Estate, error) {
	if e, ok := s.(*Estate); ok {
		return e, nil
	}
	e := &Estate{Head: s.Header()}
	for a, err := range s.Accounts() {
		if err != nil {
			return nil, err
		}
		e.List = append(e.List, a)
	}
	return e, nil
}

// Header returns what the estate says of itself.
func (e *Estate) Header() Header { return e.Head }

// Accounts walks the accounts. It may be called any number of times.
func (e *Estate) Accounts() iter.Seq2[*Account, error] {
	return func(yield func(*Account, error) bool) {
		for _, a := range e.List {
			if !yield(a, nil) {
				return
			}
		}
	}
}

// Resources walks the resources of all accounts.
func (e *Estate) Resources() iter.Seq[*Resource] {
	return func(yield func(*Resource) bool) {
		for _, a := range e.List {
			for _, r := range a.Resources {
				if !yield(r) {
					return
				}
			}
		}
	}
}

// Gaps walks the gaps that hide whole resources, of all accounts.
func (e *Estate) Gaps() iter.Seq[Gap] {
	return func(yield func(Gap) bool) {
		for _, a := range e.List {
			for _, g := range a.Gaps {
				if !yield(g) {
					return
				}
			}
		}
	}
}

// Index returns an index over all accounts. It is built anew at each call.
func (e *Estate) Index() *Index { return NewIndex(slices.Collect(e.Resources())) }
