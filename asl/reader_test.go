package asl

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/bartizan-security/bartizan/asl/value"
)

func packed(t *testing.T, text string) string {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(buf.Bytes())
}

func parquetFile(t *testing.T) string {
	t.Helper()
	type inner struct {
		Name string `parquet:"name"`
	}
	type row struct {
		Key   string   `parquet:"key"`
		Size  int64    `parquet:"size"`
		Small int32    `parquet:"small"`
		Ratio float64  `parquet:"ratio"`
		Last  bool     `parquet:"last"`
		None  *string  `parquet:"none,optional"`
		Tags  []string `parquet:"tags,list"`
		In    inner    `parquet:"in"`
	}
	var buf bytes.Buffer
	if err := parquet.Write(&buf, []row{{"a", 1 << 40, 7, 0.5, true, nil, []string{"x", "y"}, inner{"n"}}, {Key: "b"}}); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(buf.Bytes())
}

// What an ItemReader makes of the objects it reads, one body after another.
// https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html
func TestItemReaderFiles(t *testing.T) {
	body := func(text string) string { return string(value.Append(nil, value.Obj("Body", text))) }
	inventory := func(format string) string {
		return body(`{"sourceBucket":"src","destinationBucket":"arn:aws:s3:::dest","fileFormat":"` + format + `","fileSchema":"Bucket, Key, Size","files":[{"key":"data/1.gz","size":9},{"key":"data/2.gz","size":9}]}`)
	}
	first, second := body(packed(t, "\"src\",\"k%201\",\"10\"\n\"src\",\"k2\",\"20\"\n")), body(packed(t, "src,k3,30\n"))
	rows := `{"key":"a","size":1099511627776,"small":7,"ratio":0.5,"last":true,"none":null,"tags":["x","y"],"in":{"name":"n"}},{"key":"b","size":0,"small":0,"ratio":0.0,"last":false,"none":null,"tags":[],"in":{"name":""}}`
	for _, c := range []struct {
		name, config string
		outputs      []string
		want, calls  string
	}{
		{"rows of Parquet", `"InputType":"PARQUET"`, []string{body(parquetFile(t))}, "[" + rows + "]", ""},
		{"as many as MaxItems says", `"InputType":"PARQUET","MaxItems":1`, []string{body(parquetFile(t))}, "[" + rows[:strings.Index(rows, `,{"key":"b"`)] + "]", ""},
		{"no Parquet", `"InputType":"PARQUET"`, []string{body("PAR1 and then nothing")}, "ERROR The Parquet file cannot be read", ""},
		{"Parquet cut off", `"InputType":"PARQUET"`, []string{body(parquetFile(t)[:400])}, "ERROR The Parquet file cannot be read", ""},
		{"packed JSON Lines", `"InputType":"JSONL"`, []string{body(packed(t, "1\n2\n"))}, "[1,2]", ""},
		{"an inventory in CSV", `"InputType":"MANIFEST"`, []string{inventory("CSV"), first, second},
			`[{"Bucket":"src","Key":"k%201","Size":"10"},{"Bucket":"src","Key":"k2","Size":"20"},{"Bucket":"src","Key":"k3","Size":"30"}]`, "dest/data/1.gz dest/data/2.gz"},
		{"an inventory read no further than needed", `"InputType":"MANIFEST","MaxItems":1`, []string{inventory("CSV"), first}, `[{"Bucket":"src","Key":"k%201","Size":"10"}]`, "dest/data/1.gz"},
		{"an inventory in Parquet", `"InputType":"MANIFEST"`, []string{inventory("Parquet"), body(parquetFile(t)), body(parquetFile(t))}, "[" + rows + "," + rows + "]", "dest/data/1.gz dest/data/2.gz"},
		{"an inventory in ORC", `"InputType":"MANIFEST"`, []string{inventory("ORC")}, "ERROR An inventory in the format ORC cannot be read", ""},
		{"no manifest", `"InputType":"MANIFEST"`, []string{body("[]")}, "ERROR The manifest is no JSON object", ""},
		{"a manifest of Athena", `"InputType":"JSONL","ManifestType":"ATHENA_DATA"`, []string{body("s3://out/a/1\ns3://out/a/2\n"), body("1\n"), body(packed(t, "2\n"))}, "[1,2]", "out/a/1 out/a/2"},
		{"a manifest of something else", `"InputType":"JSONL","ManifestType":"ATHENA_DATA"`, []string{body("https://x")}, "ERROR The manifest names no object of Amazon S3: https://x", ""},
		{"listed objects loaded", `"InputType":"JSON","Transformation":"LOAD_AND_FLATTEN"`, []string{`{"Contents":[{"Key":"d/"},{"Key":"d/1"},{"Key":"d/2"}]}`, body("[1]"), body("[2,3]")}, "[1,2,3]", "b/d/1 b/d/2"},
	} {
		action := "getObject"
		if strings.Contains(c.config, "FLATTEN") {
			action = "listObjectsV2"
		}
		def := `{"StartAt":"S","States":{"S":` + distributed(`"ItemReader":{"Resource":"arn:aws:states:::s3:`+action+`","Parameters":{"Bucket":"b","Key":"k"},"ReaderConfig":{`+c.config+`}},`) + `}}`
		m, err := Parse([]byte(def))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		tasks := &reads{outputs: c.outputs}
		r, err := Run(context.Background(), m, []byte(`{}`), Host{Tasks: tasks})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if text, fails := strings.CutPrefix(c.want, "ERROR "); fails {
			if r.Error != "States.ItemReaderFailed" || !strings.HasPrefix(r.Cause, text) {
				t.Errorf("%s: %s %s, want %s", c.name, r.Error, r.Cause, text)
			}
			continue
		}
		got, err1 := value.Parse(r.Output)
		want, err2 := value.Parse([]byte(c.want))
		if err1 != nil || err2 != nil || !value.Equal(got, want) {
			t.Errorf("%s: %s %s %s, want %s", c.name, r.Output, r.Error, r.Cause, c.want)
		}
		if calls := strings.Join(tasks.calls, " "); calls != c.calls {
			t.Errorf("%s: read %s, want %s", c.name, calls, c.calls)
		}
	}
}

// reads answers each call with the next output, and notes what was asked for.
type reads struct {
	outputs []string
	calls   []string
	n       int
}

func (r *reads) Invoke(_ context.Context, c *Call) ([]byte, error) {
	if r.n == len(r.outputs) {
		return nil, fmt.Errorf("read of %s is one too many", c.Parameters)
	}
	if r.n > 0 {
		v, err := value.Parse(c.Parameters)
		if err != nil || !strings.HasSuffix(c.Resource, ":s3:getObject") {
			return nil, fmt.Errorf("call of %s with %s", c.Resource, c.Parameters)
		}
		o := v.(*value.Object)
		r.calls = append(r.calls, member(o, "Bucket")+"/"+member(o, "Key"))
	}
	r.n++
	return []byte(r.outputs[r.n-1]), nil
}
