package asl

import (
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"

	"github.com/bartizan-security/bartizan/asl/value"
)

// source is an object of a bucket that holds items.
type source struct{ bucket, key string }

// sources returns the objects that what was read only names, and how to read
// them; the format is nil where the items are in what was read.
// https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html
func (r *itemReader) sources(out, params any) ([]source, *itemReader, *failure) {
	o, ok := out.(*value.Object)
	if !ok {
		return nil, nil, nil
	}
	format := *r
	if listed, ok := o.Get("Contents"); ok && r.transform == "LOAD_AND_FLATTEN" {
		bucket := ""
		if p, ok := params.(*value.Object); ok {
			bucket = member(p, "Bucket")
		}
		var from []source
		list, _ := listed.([]any)
		for _, e := range list {
			eo, _ := e.(*value.Object)
			if eo == nil {
				continue
			}
			if key := member(eo, "Key"); key != "" && !strings.HasSuffix(key, "/") {
				from = append(from, source{bucket, key})
			}
		}
		return from, &format, nil
	}
	body, isText := member(o, "Body"), o.Has("Body")
	switch {
	case !isText || r.inputType != "MANIFEST" && r.manifest != "ATHENA_DATA":
		return nil, nil, nil
	case r.manifest == "ATHENA_DATA":
		from, f := athenaSources(body)
		return from, &format, f
	}
	manifest, _ := o.Get("Body") // a task may give JSON for a text
	if text, ok := manifest.(string); ok {
		var err error
		if manifest, err = value.Parse([]byte(text)); err != nil {
			manifest = nil
		}
	}
	m, ok := manifest.(*value.Object)
	if !ok || !m.Has("files") {
		return nil, nil, readerFailure("The manifest is no JSON object with the field 'files', as Amazon S3 Inventory writes it.")
	}
	from, f := inventory(m, &format)
	return from, &format, f
}

func member(o *value.Object, name string) string {
	v, _ := o.Get(name)
	s, _ := v.(string)
	return s
}

// inventory reads the manifest of an S3 inventory.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html
func inventory(m *value.Object, format *itemReader) ([]source, *failure) {
	switch f := member(m, "fileFormat"); f {
	case "CSV", "":
		format.inputType, format.csvLocation, format.csvHeaders, format.delimiter = "CSV", "GIVEN", nil, ""
		for _, h := range strings.Split(member(m, "fileSchema"), ",") {
			format.csvHeaders = append(format.csvHeaders, strings.TrimSpace(h))
		}
	case "Parquet":
		format.inputType = "PARQUET"
	default:
		return nil, readerFailure("An inventory in the format %s cannot be read; CSV and Parquet can", f)
	}
	bucket := member(m, "destinationBucket")
	bucket = bucket[strings.LastIndexByte(bucket, ':')+1:] // given as an ARN
	list, _ := m.Get("files")
	files, _ := list.([]any)
	var from []source
	for _, e := range files {
		o, ok := e.(*value.Object)
		if !ok || member(o, "key") == "" {
			return nil, readerFailure("A file of the manifest has no key.")
		}
		from = append(from, source{bucket, member(o, "key")})
	}
	return from, nil
}

// athenaSources reads what UNLOAD of Athena writes: an address a line.
func athenaSources(body string) ([]source, *failure) {
	var from []source
	for _, line := range strings.Split(body, "\n") {
		line = strings.Trim(strings.TrimSpace(line), `"`)
		if line == "" {
			continue
		}
		bucket, key, ok := strings.Cut(strings.TrimPrefix(line, "s3://"), "/")
		if !ok || !strings.HasPrefix(line, "s3://") {
			return nil, readerFailure("The manifest names no object of Amazon S3: %.200s", line)
		}
		from = append(from, source{bucket, key})
	}
	return from, nil
}

// maxBody bounds what an object may unfold to.
const maxBody = 256 << 20

// plainBody undoes base64, which is how a body that is no text is given, and
// gzip.
func plainBody(text string) (string, *failure) {
	if strings.HasPrefix(text, "UEFSM") || strings.HasPrefix(text, "H4sI") {
		if raw, err := base64.StdEncoding.DecodeString(text); err == nil {
			text = string(raw)
		}
	}
	if !strings.HasPrefix(text, "\x1f\x8b") {
		return text, nil
	}
	z, err := gzip.NewReader(strings.NewReader(text))
	if err != nil {
		return "", readerFailure("The file cannot be unpacked: %v", err)
	}
	raw, err := io.ReadAll(io.LimitReader(z, maxBody+1))
	if err != nil {
		return "", readerFailure("The file cannot be unpacked: %v", err)
	}
	if len(raw) > maxBody {
		return "", readerFailure("The file unpacks to more than %d MB", maxBody>>20)
	}
	return string(raw), nil
}

// parquetItems makes one object of each row.
func parquetItems(text string) (items []any, f *failure) {
	// The library panics on some broken files.
	defer func() {
		if p := recover(); p != nil {
			items, f = nil, readerFailure("The Parquet file cannot be read: %v", p)
		}
	}()
	at := strings.NewReader(text)
	file, err := parquet.OpenFile(at, at.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, readerFailure("The Parquet file cannot be read: %v", err)
	}
	if file.NumRows() > maxItems {
		return nil, readerFailure("The file holds more than %d items", maxItems)
	}
	rd := parquet.NewGenericReader[any](file)
	defer rd.Close() //nolint:errcheck // nothing was written
	var names []string
	for _, field := range file.Schema().Fields() {
		names = append(names, field.Name())
	}
	rows := make([]any, 64)
	for {
		n, err := rd.Read(rows)
		for _, row := range rows[:n] {
			items = append(items, fromParquet(row, names))
		}
		switch {
		case errors.Is(err, io.EOF):
			return items, nil
		case err != nil:
			return nil, readerFailure("The Parquet file cannot be read: %v", err)
		case n == 0 || len(items) > maxItems:
			return nil, readerFailure("The Parquet file holds other rows than it says")
		}
		clear(rows)
	}
}

// fromParquet turns what the library gives into JSON values; names is the
// order of the columns.
func fromParquet(v any, names []string) any {
	switch x := v.(type) {
	case map[string]any:
		if names == nil {
			for k := range x {
				names = append(names, k)
			}
			slices.Sort(names)
		}
		o := value.NewObject(len(names))
		for _, k := range names {
			if e, ok := x[k]; ok {
				o.Set(k, fromParquet(e, nil))
			}
		}
		return o
	case []any:
		out := make([]any, len(x))
		for i := range x {
			out[i] = fromParquet(x[i], nil)
		}
		return out
	case []byte:
		if utf8.Valid(x) {
			return string(x)
		}
		return base64.StdEncoding.EncodeToString(x)
	case time.Time:
		return x.UTC().Format(time.RFC3339Nano)
	case int32:
		return int64(x)
	case uint32:
		return int64(x)
	case uint64:
		if x <= math.MaxInt64 {
			return int64(x)
		}
		return value.Big(fmt.Sprint(x))
	case float32:
		return float64(x)
	case nil, bool, string, int64, float64:
		return x
	}
	return fmt.Sprint(v)
}
