package collect

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/estate"
)

// maxFile bounds one output of the AWS CLI, in bytes; maxFiles their number.
const (
	maxFile  = 512 << 20
	maxFiles = 100_000
)

// FileOptions help where files do not say what they are of.
type FileOptions struct {
	Catalogue *Catalogue
	Account   string // twelve digits; "" where ARNs say it
	Region    string
	Time      time.Time
	Tool      string
	Names     []string // the files to read; nil: every .json, .txt and file without ending
}

// Skipped is a file that no type recognises, and why.
type Skipped struct {
	File, Reason string
	Unread       bool // it may hold resources, which the estate now lacks
}

// Files reads outputs of AWS CLI list, describe and get commands and makes an
// estate of them. What a file is, its content says: the members of the answer
// and of its items. Outputs of a further operation (get-bucket-policy) do not
// say which resource they are of; their name must, beside the operation's:
// get-bucket-policy-NAME.json, NAME/get-bucket-policy.json.
//
// A part for which no file is there is unknown, not absent.
func Files(files fs.FS, o FileOptions) (*estate.Estate, []Skipped, error) {
	f := &fileRun{FileOptions: o, read: map[string]bool{}, resources: map[string]*estate.Resource{}}
	names := o.Names
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case o.Names != nil:
			return fs.SkipAll
		case err != nil:
			return err
		}
		if !d.Type().IsRegular() || strings.HasPrefix(d.Name(), ".") && name != "." {
			return nil
		}
		switch strings.ToLower(filepath.Ext(name)) {
		case ".json", ".txt", "":
			names = append(names, name)
		}
		if len(names) > maxFiles {
			return fmt.Errorf("more than %d files", maxFiles)
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read AWS CLI outputs: %w", err)
	}
	var parts []fileDoc
	for _, name := range names {
		doc, err := readDoc(files, name)
		if err != nil {
			f.skip(name, err.Error(), strings.EqualFold(filepath.Ext(name), ".json"))
			continue
		}
		if !f.lists(name, doc) {
			parts = append(parts, fileDoc{name, doc})
		}
	}
	f.settle()
	for _, p := range parts {
		f.part(p)
	}
	if len(f.resources) == 0 {
		if len(f.skipped) > 0 {
			return nil, f.skipped, fmt.Errorf("read AWS CLI outputs: nothing is recognised: %s: %s", f.skipped[0].File, f.skipped[0].Reason)
		}
		return nil, nil, errors.New("read AWS CLI outputs: there are no JSON files")
	}
	return f.estate(), f.skipped, nil
}

type fileDoc struct {
	name string
	doc  map[string]any
}

type fileRun struct {
	FileOptions
	read      map[string]bool // types
	resources map[string]*estate.Resource
	order     []*filed
	skipped   []Skipped
}

// filed is a resource and how it was read.
type filed struct {
	res *estate.Resource
	typ *Type
}

func (f *fileRun) skip(name, reason string, unread bool) {
	f.skipped = append(f.skipped, Skipped{name, clean(reason), unread})
}

func readDoc(files fs.FS, name string) (map[string]any, error) {
	in, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	src, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(src) > maxFile {
		return nil, fmt.Errorf("larger than %d bytes", maxFile)
	}
	src = []byte(strings.TrimPrefix(string(src), "\ufeff"))
	v, err := estate.DecodeJSON(src)
	if err != nil {
		return nil, err
	}
	doc, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("holds a %s, not the object that the AWS CLI prints", kindName(v))
	}
	return doc, nil
}

// lists takes a file that is the answer of a list operation, for every type
// that reads it, and reports whether it is one.
func (f *fileRun) lists(name string, doc map[string]any) bool {
	best, found := 0, []*Type(nil)
	for _, t := range f.Catalogue.types {
		if t.Single || len(t.List.items) == 0 {
			continue
		}
		root, ok := doc[t.List.items[0]]
		if !ok {
			continue
		}
		score := 1
		if strings.Contains(squash(name), squash(t.List.Operation)) {
			score += 50
		}
		if strings.Contains(squash(name), squash(t.List.Service)) {
			score += 20
		}
		items := t.List.items.all(doc)
		switch {
		case t.List.items.wrong(doc) != nil:
			continue
		case len(items) == 0:
			if list, isList := root.([]any); !isList || len(list) != 0 {
				continue
			}
		default:
			fit := f.fits(t, items[0])
			if fit == 0 {
				continue
			}
			score += fit
		}
		// Types that share an operation are read from the same file.
		switch {
		case score > best && (len(found) == 0 || !sameCall(found[0], t)):
			best, found = score, []*Type{t}
		case len(found) > 0 && sameCall(found[0], t):
			best, found = max(best, score), append(found, t)
		}
	}
	for _, t := range found {
		if t.Variant != "" && len(found) > 1 {
			continue // the same items, asked for in another way
		}
		f.read[t.Name] = true
		for _, v := range t.List.items.all(doc) {
			f.add(t, v, name)
		}
	}
	return len(found) > 0
}

func sameCall(a, b *Type) bool {
	return a.List.Service == b.List.Service && a.List.Operation == b.List.Operation && a.parent == b.parent
}

// fits counts what an item has of what the type expects: its id above all.
func (f *fileRun) fits(t *Type, v any) int {
	doc, ok := v.(map[string]any)
	if _, text := v.(string); text && t.List.bare != "" {
		return 10
	}
	if !ok || t.List.bare != "" {
		return 0
	}
	s := scope{doc: doc, parent: map[string]any{}, account: "0", region: "0", partition: "0"}
	score := 0
	if _, err := s.name(t.id); err == nil {
		score += 10
	} else if t.parent == nil {
		return 0
	}
	if t.arn != "" && !strings.HasPrefix(t.arn, "arn:") {
		if _, err := s.name(t.arn); err == nil {
			score += 5
		}
	}
	if t.tags != nil && len(t.tags.all(doc)) > 0 {
		score++
	}
	return score
}

func (f *fileRun) add(t *Type, v any, name string) {
	doc, ok := v.(map[string]any)
	if name, text := v.(string); text && t.List.bare != "" {
		doc, ok = map[string]any{t.List.bare: name}, true
	}
	if !ok {
		return
	}
	if !(&List{drop: t.List.drop}).wants(doc, scope{}) {
		return
	}
	doc = clone(doc).(map[string]any)
	decodeAll(doc, t.decode)
	redactAll(doc, t.redact)
	res := &estate.Resource{Type: t.Name, Document: doc}
	res.Account, res.Region = whose(t, doc)
	account, region := placeOf(name)
	res.Account = cmp.Or(res.Account, account)
	if !t.Global && !isGlobal(t, doc) {
		res.Region = cmp.Or(res.Region, region)
	}
	f.order = append(f.order, &filed{res, t})
}

// settle gives every resource its account, region and identity. What a file
// does not say is taken from the options, else from the other files if these agree.
func (f *fileRun) settle() {
	accounts, regions := map[string]bool{}, map[string]bool{}
	for _, d := range f.order {
		accounts[d.res.Account] = true
		regions[d.res.Region] = true
	}
	delete(accounts, "")
	delete(regions, "")
	only := func(set map[string]bool, given, fallback string) string {
		if given != "" {
			return given
		}
		if len(set) == 1 {
			for s := range set {
				return s
			}
		}
		return fallback
	}
	f.Account = only(accounts, f.Account, "000000000000")
	f.Region = only(regions, f.Region, "")
	for _, d := range f.order {
		r := d.res
		if r.Account == "" {
			r.Account = f.Account
		}
		if r.Region == "" && !d.typ.Global && !isGlobal(d.typ, r.Document) {
			r.Region = f.Region
		}
		s := scope{doc: r.Document, parent: map[string]any{}, account: r.Account, region: r.Region, partition: "aws"}
		r.ID, _ = s.name(d.typ.id)
		if d.typ.arn != "" {
			r.ARN, _ = s.name(d.typ.arn)
		}
		if r.ID == "" {
			r.ID = r.ARN
		}
		if r.ID == "" {
			b, _ := estate.AppendJSON(nil, r.Document)
			r.ID = string(b[:min(len(b), 80)])
		}
		if d.typ.tags != nil {
			r.Tags = tagsOf(d.typ.tags.all(r.Document))
		}
		f.resources[strings.Join([]string{r.Account, r.Region, r.Type, r.ID}, "\x00")] = r
	}
}

// part takes the answer of a further operation for one resource, found by the
// file's name.
func (f *fileRun) part(p fileDoc) {
	stem := strings.TrimSuffix(p.name, filepath.Ext(p.name))
	name := squash(stem)
	var m *More
	var typ *Type
	for _, t := range f.Catalogue.types {
		for i := range t.More {
			op := squash(t.More[i].Operation)
			if t.More[i].forAll == nil && strings.Contains(name, op) && (m == nil || len(op) > len(squash(m.Operation))) && f.has(t) {
				m, typ = &t.More[i], t
			}
		}
	}
	if m == nil {
		f.skip(p.name, "no list or describe output of a type in the catalogue", false)
		return
	}
	if typ.Single {
		f.single(typ, m, p)
		return
	}
	var found []*estate.Resource
	for _, d := range f.order {
		if d.typ == typ && slices.ContainsFunc([]string{d.res.ID, lastElement(d.res.ID), lastElement(d.res.ARN)}, func(id string) bool {
			return id != "" && hasElement(stem, id)
		}) {
			found = append(found, d.res)
		}
	}
	if len(found) > 1 {
		// One id may be part of another: the longest one that fits is meant.
		slices.SortStableFunc(found, func(a, b *estate.Resource) int { return len(b.ID) - len(a.ID) })
		if len(found[0].ID) > len(found[1].ID) {
			found = found[:1]
		}
	}
	if len(found) != 1 {
		f.skip(p.name, fmt.Sprintf("output of %s, but its name says no single %s that another file lists; name it %s-ID.json", m.Operation, typ.Name, kebab(m.Operation)), false)
		return
	}
	f.store(found[0], m, p.doc)
}

func (f *fileRun) store(r *estate.Resource, m *More, doc map[string]any) {
	out := clone(doc).(map[string]any)
	decodeAll(out, m.decode)
	redactAll(out, m.redact)
	m.store(r.Document, out)
}

// has reports whether a type's resources were listed, or need no list.
func (f *fileRun) has(t *Type) bool { return t.Single || f.read[t.Name] }

func (f *fileRun) single(t *Type, m *More, p fileDoc) {
	account, region := placeOf(p.name)
	account, region = cmp.Or(account, f.Account), cmp.Or(region, f.Region)
	id := region
	if t.Global {
		region, id = "", account
	}
	if id == "" {
		f.skip(p.name, "the output is of a region; say which with --region", true)
		return
	}
	key := strings.Join([]string{account, region, t.Name, id}, "\x00")
	r := f.resources[key]
	if r == nil {
		r = &estate.Resource{Type: t.Name, ID: id, Account: account, Region: region, Document: map[string]any{}}
		f.resources[key] = r
		f.order = append(f.order, &filed{r, t})
		f.read[t.Name] = true
	}
	f.store(r, m, p.doc)
}

func (f *fileRun) estate() *estate.Estate {
	var list []*estate.Resource
	accounts, regions := map[string]bool{}, map[string]bool{}
	for _, d := range f.order {
		for _, m := range d.typ.More {
			part := m.Part
			if m.merged || m.forAll != nil || m.Option != "" {
				continue
			}
			if _, there := d.res.Document[part]; !there {
				d.res.Unknown = append(d.res.Unknown, estate.Gap{Part: part, Operation: m.Service + ":" + m.Operation, Code: CodeNotCollected,
					Reason: "there is no output of " + m.Operation + " for it"})
			}
		}
		if d.typ.region != nil {
			if name := d.typ.region.of(d.res.Document); name != "" {
				d.res.Region = name
			}
		}
		list = append(list, d.res)
		accounts[d.res.Account] = true
		if d.res.Region != "" {
			regions[d.res.Region] = true
		}
	}
	return estate.New(estate.Header{Schema: estate.Schema, Time: f.Time, Tool: f.Tool,
		Scope: estate.Scope{Accounts: sorted(accounts), Regions: sorted(regions), Types: sorted(f.read)}}, unique(list), nil)
}

func sorted(set map[string]bool) []string {
	var out []string
	for s := range set {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}
