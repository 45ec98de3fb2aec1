package estate_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/bartizan-security/bartizan/estate"
)

func resource(account, region, typ, id string, doc map[string]any) *estate.Resource {
	return &estate.Resource{Type: typ, ID: id, Account: account, Region: region, Document: doc}
}

func sample() *estate.Estate {
	head := estate.Header{Time: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), Caller: "arn:aws:iam::111111111111:user/reader",
		Scope: estate.Scope{Accounts: []string{"111111111111", "222222222222"}, Regions: []string{"eu-west-1"}}, Tool: "bartizan test"}
	bucket := resource("111111111111", "eu-west-1", "AWS::S3::Bucket", "logs", map[string]any{
		"Name": "logs", "GetBucketPolicy": nil, "Size": int64(math.MaxInt64), "Ratio": 0.25, "Text": "a<b>&\u2028\"\\\n\x01é𝄞",
		"List": []any{true, false, nil, int64(-1), map[string]any{}, []any{}},
	})
	bucket.ARN = "arn:aws:s3:::logs"
	bucket.Tags = map[string]string{"team": "ops", "a": ""}
	bucket.Unknown = []estate.Gap{{Part: "GetBucketAcl", Operation: "s3:GetBucketAcl", Code: "AccessDenied", Reason: "denied", Permission: "s3:GetBucketAcl"}}
	trail := resource("222222222222", "eu-west-1", "AWS::CloudTrail::Trail", "main", map[string]any{"S3BucketName": "logs"})
	gap := estate.Gap{Type: "AWS::KMS::Key", Account: "222222222222", Region: "eu-west-1", Operation: "kms:ListKeys", Code: "Throttled", Reason: "too many calls"}
	return estate.New(head, []*estate.Resource{trail, bucket}, []estate.Gap{gap})
}

func write(t testing.TB, s estate.Source) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := estate.Write(&b, s); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(b []byte) (*estate.Estate, error) {
	r, err := estate.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return estate.Load(r)
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	want := sample()
	got, err := read(write(t, want))
	if err != nil {
		t.Fatal(err)
	}
	want.Head.Schema = estate.Schema
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The order in which answers came in must not show.
func TestSameEstateGivesSameBytes(t *testing.T) {
	a := sample()
	var resources []*estate.Resource
	for r := range a.Resources() {
		resources = append([]*estate.Resource{r}, resources...)
	}
	if !bytes.Equal(write(t, a), write(t, estate.New(a.Head, resources, slices.Collect(a.Gaps())))) {
		t.Error("the bytes differ")
	}
}

func unpack(t testing.TB, b []byte) []byte {
	t.Helper()
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	out, err := z.DecodeAll(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Anyone with zstd and jq can read a snapshot, and what they have edited as
// plain JSON Lines is read too.
func TestPlainLinesAreRead(t *testing.T) {
	plain := unpack(t, write(t, sample()))
	if lines := strings.Split(strings.TrimSuffix(string(plain), "\n"), "\n"); len(lines) != 5 ||
		!strings.HasPrefix(lines[0], `{"kind":"header","format":"bartizan-estate","schema":1,`) ||
		lines[4] != `{"gaps":1,"kind":"trailer","resources":2}` {
		t.Errorf("unexpected layout:\n%s", plain)
	}
	if _, err := read(plain); err != nil {
		t.Error(err)
	}
}

func TestForeignTruncatedAndDamagedFiles(t *testing.T) {
	whole := write(t, sample())
	plain := unpack(t, whole)
	lines := bytes.SplitAfter(plain, []byte("\n"))
	join := func(order ...int) []byte {
		var b []byte
		for _, i := range order {
			b = append(b, lines[i]...)
		}
		return b
	}
	pack := func(b []byte) []byte {
		z, _ := zstd.NewWriter(nil)
		return z.EncodeAll(b, nil)
	}
	for _, c := range []struct {
		name string
		in   []byte
		want error
		says string
	}{
		{"an empty file is no snapshot", nil, estate.ErrForeign, "empty"},
		{"a text file is no snapshot", []byte("hello"), estate.ErrForeign, "no header"},
		{"other JSON is no snapshot", []byte("{\"Reservations\":[]}\n"), estate.ErrForeign, "no header"},
		{"other compressed data is no snapshot", pack([]byte("hello\n")), estate.ErrForeign, "no header"},
		{"binary data is no snapshot", bytes.Repeat([]byte{0, 0xff}, 99), estate.ErrForeign, "no header"},
		{"a compressed file may break off in the middle", whole[:len(whole)-9], estate.ErrTruncated, "truncated"},
		{"a compressed file may break off at its start", whole[:7], estate.ErrTruncated, "truncated"},
		{"a file may lack its trailer", join(0, 1, 2), estate.ErrTruncated, "truncated"},
		{"a line may break off", plain[:len(plain)-60], estate.ErrTruncated, "truncated"},
		{"a line may be missing", join(0, 1, 2, 4), estate.ErrDamaged, "the trailer says 2 and 1"},
		{"accounts may be out of order", join(0, 2, 3, 1, 4), estate.ErrDamaged, `account "111111111111" after "222222222222"`},
		{"a byte may be wrong", append(append(append([]byte{}, whole[:len(whole)/2]...), whole[len(whole)/2]^0x55), whole[len(whole)/2+1:]...), nil, "read snapshot"},
		{"a later version is refused", bytes.Replace(plain, []byte(`"schema":1`), []byte(`"schema":99`), 1), nil, "use a newer bartizan"},
		{"a line of an unknown kind is refused", append(join(0), "{\"kind\":\"x\"}\n"...), estate.ErrDamaged, "line 2: unknown kind"},
		{"a resource without a document is refused", append(join(0), "{\"kind\":\"resource\",\"type\":\"T\",\"id\":\"i\"}\n"...), estate.ErrDamaged, "needs a document"},
		{"a document that nests without end is refused", append(join(0), []byte(strings.Repeat("[", 1<<20)+"\n")...), estate.ErrDamaged, "nested deeper"},
	} {
		_, err := read(c.in)
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %v with %q", c.name, err, c.want, c.says)
		}
	}
}

// A small file that unpacks without end is refused long before memory or
// patience is spent.
func TestBombsAreRefused(t *testing.T) {
	z, _ := zstd.NewWriter(nil)
	head := unpack(t, write(t, sample()))
	head = head[:bytes.IndexByte(head, '\n')+1]
	long := z.EncodeAll(append(append([]byte{}, head...), bytes.Repeat([]byte(" "), estate.MaxLine+1)...), nil)
	if _, err := read(long); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("one endless line: %v", err)
	}
}

func TestPartialSnapshotKeepsWholeAccounts(t *testing.T) {
	plain := unpack(t, write(t, sample()))
	for _, cut := range []int{len(plain), len(plain) - 5, len(plain) - 60} {
		r, err := estate.NewPartialReader(bytes.NewReader(plain[:cut]))
		if err != nil {
			t.Fatal(err)
		}
		e, err := estate.Load(r)
		if err != nil {
			t.Errorf("cut at %d: %v", cut, err)
			continue
		}
		want := 1
		if cut == len(plain) {
			want = 2
		}
		if len(e.List) != want {
			t.Errorf("cut at %d: %d accounts, want %d", cut, len(e.List), want)
		}
	}
}

func TestWriterRefusesWhatCannotBeReadAgain(t *testing.T) {
	w, err := estate.NewWriter(new(bytes.Buffer), estate.Header{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteAccount(&estate.Account{ID: "2"}); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteAccount(&estate.Account{ID: "1"}); err == nil {
		t.Error("accounts out of order were written")
	}
	bad := resource("3", "", "T", "i", map[string]any{"x": math.NaN()})
	if err := w.WriteAccount(&estate.Account{ID: "3", Resources: []*estate.Resource{bad}}); err == nil {
		t.Error("NaN was written")
	}
}

func TestDecodeJSON(t *testing.T) {
	for _, c := range []struct {
		in   string
		want any
	}{
		{`9223372036854775807`, int64(math.MaxInt64)},
		{`-0`, int64(0)},
		{`1.5e3`, int64(1500)}, // whole, however written
		{`1.25`, 1.25},
		{`18446744073709551615`, float64(math.MaxUint64)},
		{`"\ud834\udd1e\u00e9\ud800x\/"`, "𝄞é\ufffdx/"},
		{"\"\xff\"", "\ufffd"},
		{` {"a" : [ 1 , "x" ] , "b":{} } `, map[string]any{"a": []any{int64(1), "x"}, "b": map[string]any{}}},
	} {
		got, err := estate.DecodeJSON([]byte(c.in))
		if err != nil || !cmp.Equal(got, c.want) {
			t.Errorf("DecodeJSON(%s) = %#v, %v; want %#v", c.in, got, err, c.want)
		}
	}
	for _, in := range []string{``, `{`, `[1,`, `{"a"}`, `{"a":1,}`, `{a:1}`, `"`, `"\x"`, `"\u12"`, "\"\n\"", `1 2`, `tru`, `-`, `1e999`, `1-1`} {
		if v, err := estate.DecodeJSON([]byte(in)); err == nil {
			t.Errorf("DecodeJSON(%s) = %v; want an error", in, v)
		}
	}
}

func FuzzDecodeJSON(f *testing.F) {
	f.Add([]byte(`{"a":[1,2.5,"x\u0041",null,true]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		v, err := estate.DecodeJSON(in)
		if err != nil {
			return
		}
		out, err := estate.AppendJSON(nil, v)
		if err != nil {
			t.Fatalf("encode what was decoded: %v", err)
		}
		again, err := estate.DecodeJSON(out)
		if err != nil || !cmp.Equal(v, again) {
			t.Fatalf("%s became %s: %v", in, out, err)
		}
	})
}

func FuzzReader(f *testing.F) {
	whole := write(f, sample())
	f.Add(whole)
	f.Add(unpack(f, whole))
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := read(in)
		if err != nil {
			return
		}
		if err := estate.Write(new(bytes.Buffer), e); err != nil {
			t.Fatalf("write what was read: %v", err)
		}
	})
}

func TestReferences(t *testing.T) {
	const a, b = "111111111111", "222222222222"
	group := resource(a, "eu-west-1", "AWS::EC2::SecurityGroup", "sg-0a1", map[string]any{"GroupId": "sg-0a1", "VpcId": "vpc-1"})
	other := resource(a, "us-east-1", "AWS::EC2::SecurityGroup", "sg-0a1", map[string]any{})
	role := resource(a, "", "AWS::IAM::Role", "Worker", map[string]any{})
	role.ARN = "arn:aws:iam::111111111111:role/Worker"
	eni := resource(a, "eu-west-1", "AWS::EC2::NetworkInterface", "eni-1", map[string]any{
		"Groups": []any{map[string]any{"GroupId": "sg-0a1"}}, "TagSet": []any{map[string]any{"Value": "sg-0a1"}}})
	fn := resource(b, "eu-west-1", "AWS::Lambda::Function", "f", map[string]any{"Role": role.ARN, "Group": "sg-0a1"})
	group2 := resource(a, "eu-west-1", "AWS::Logs::LogGroup", "/x", map[string]any{})
	group2.ARN = "arn:aws:logs:eu-west-1:111111111111:log-group:/x"
	trail := resource(a, "eu-west-1", "AWS::CloudTrail::Trail", "t", map[string]any{"Logs": group2.ARN + ":*", "S3BucketName": "audit"})
	bucket := resource(b, "us-east-1", "AWS::S3::Bucket", "audit", map[string]any{})
	x := estate.NewIndex([]*estate.Resource{group, other, role, eni, fn, group2, trail, bucket})

	show := func(refs []estate.Reference) string {
		var s []string
		for _, r := range refs {
			s = append(s, fmt.Sprintf("%s %s -> %s %s", r.From.ID, r.Path, r.To.ID, r.To.Region))
		}
		return strings.Join(s, "\n")
	}
	for _, c := range []struct {
		rule string
		got  []estate.Reference
		want string
	}{
		{"a group is used by the interface of its own region and account; a tag says nothing", x.Referrers(group), "eni-1 Groups[0].GroupId -> sg-0a1 eu-west-1"},
		{"an equal id elsewhere is not meant", x.Referrers(other), ""},
		{"an ARN is found across accounts", x.Referrers(role), "f Role -> Worker "},
		{"a bucket's name is found across accounts, a log group's ARN with its star", x.References(trail), "t Logs -> /x eu-west-1\nt S3BucketName -> audit us-east-1"},
	} {
		if got := show(c.got); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.rule, got, c.want)
		}
	}
	if got := x.Find(eni, "AWS::EC2::SecurityGroup", "sg-0a1"); got != group {
		t.Errorf("Find gave %v", got)
	}
	if got := x.Find(fn, "AWS::IAM::Role", role.ARN); got != role {
		t.Errorf("Find by ARN gave %v", got)
	}
	if len(x.Type("AWS::EC2::SecurityGroup")) != 2 || len(x.ID("sg-0a1")) != 2 || x.ARN(role.ARN) != role || len(x.All()) != 8 {
		t.Error("look-ups by type, id or ARN fail")
	}
}

func TestDiff(t *testing.T) {
	make1 := func(doc map[string]any, unknown ...string) *estate.Estate {
		r := resource("1", "eu", "T", "x", doc)
		for _, u := range unknown {
			r.Unknown = append(r.Unknown, estate.Gap{Part: u})
		}
		return estate.New(estate.Header{}, []*estate.Resource{r}, nil)
	}
	type m = map[string]any
	for _, c := range []struct {
		rule     string
		old, new *estate.Estate
		want     string
	}{
		{"equal documents do not differ", make1(m{"a": int64(1)}), make1(m{"a": int64(1)}), ""},
		{"a value changes", make1(m{"a": m{"b": int64(1)}}), make1(m{"a": m{"b": "x"}}), "a.b: 1 -> x"},
		{"a member appears or vanishes", make1(m{"a": true}), make1(m{"b": nil}), "a: true vanished\nb: <nil> appeared"},
		{"another order of a list is no change", make1(m{"l": []any{"x", "y"}}), make1(m{"l": []any{"y", "x"}}), ""},
		{"items are paired by content, the rest by position", make1(m{"l": []any{m{"p": int64(22)}, m{"p": int64(80)}}}),
			make1(m{"l": []any{m{"p": int64(80)}, m{"p": int64(23)}}}), "l[1].p: 22 -> 23"},
		{"lists grow", make1(m{"l": []any{"x"}}), make1(m{"l": []any{"x", "x"}}), "l[1]: x appeared"},
		{"a list that becomes a map is one change", make1(m{"l": []any{}}), make1(m{"l": m{}}), "l: [] -> map[]"},
		{"a part that was unknown is not compared", make1(m{"a": int64(1), "P": "x"}), make1(m{"a": int64(1)}, "P"), ""},
	} {
		d, err := estate.Diff(c.old, c.new)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, ch := range d.Changed {
			for _, v := range ch.Changes {
				switch {
				case v.Appeared:
					got = append(got, fmt.Sprintf("%s: %v appeared", v.Path, v.New))
				case v.Vanished:
					got = append(got, fmt.Sprintf("%s: %v vanished", v.Path, v.Old))
				default:
					got = append(got, fmt.Sprintf("%s: %v -> %v", v.Path, v.Old, v.New))
				}
			}
		}
		if s := strings.Join(got, "\n"); s != c.want || d.IsEmpty() != (c.want == "") {
			t.Errorf("%s:\ngot  %s\nwant %s", c.rule, s, c.want)
		}
	}
	d, err := estate.Diff(sample(), make1(m{}))
	if err != nil || len(d.Added) != 1 || len(d.Removed) != 2 || d.Removed[0].ID != "logs" {
		t.Errorf("added and removed: %+v, %v", d, err)
	}
}
