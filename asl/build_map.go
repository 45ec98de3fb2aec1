package asl

import (
	"regexp"

	"github.com/bartizan-security/bartizan/asl/value"
)

var labelName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`)

func (b *builder) mapState(o *value.Object, p string, s *state) {
	switch {
	case o.Has("ItemProcessor") && o.Has("Iterator"):
		b.onlyOne(o, p, "ItemProcessor", "Iterator")
	case !o.Has("ItemProcessor") && !o.Has("Iterator"):
		b.errorf(p, "These fields are required: [ItemProcessor]")
	}
	for _, field := range []string{"ItemProcessor", "Iterator"} {
		v, ok := o.Get(field)
		if !ok {
			continue
		}
		at := p + "/" + field
		po, ok := b.object(v, at)
		if !ok {
			continue
		}
		known := []string{"StartAt", "States", "Comment", "ProcessorConfig"}
		b.fields(po, at, known)
		mode, exec := "INLINE", ""
		if c, ok := po.Get("ProcessorConfig"); ok {
			if co, ok := b.object(c, at+"/ProcessorConfig"); ok {
				b.fields(co, at+"/ProcessorConfig", []string{"Mode", "ExecutionType", "Comment"})
				if m, ok := b.oneOf(co, at+"/ProcessorConfig", "Mode", "INLINE", "DISTRIBUTED"); ok {
					mode = m
				}
				exec, _ = b.oneOf(co, at+"/ProcessorConfig", "ExecutionType", "STANDARD", "EXPRESS")
				if mode == "DISTRIBUTED" && !co.Has("ExecutionType") {
					b.errorf(at+"/ProcessorConfig", "These fields are required: [ExecutionType]")
				}
			}
		}
		s.processor = b.flow(po, at, s.flowLanguage(b))
		s.processor.mode, s.processor.exec = mode, exec
	}
	b.onlyOne(o, p, "Parameters", "ItemSelector")
	for _, field := range []string{"Parameters", "ItemSelector"} {
		if v, ok := o.Get(field); ok {
			s.itemSelector, s.selectorField = b.template(v, p+"/"+field, field, s.jsonata()), field
		}
	}
	if s.jsonata() {
		if v, ok := o.Get("Items"); ok {
			text, isText := v.(string)
			_, isExpr := expression(text)
			if _, isArray := v.([]any); !isArray && (!isText || !isExpr) {
				b.errorf(p+"/Items", "Expected value of type [ARRAY]")
			}
			s.items = b.template(v, p+"/Items", "Items", true)
		}
	} else if f := b.pathField(o, p, "ItemsPath", true, false); f.set {
		if s.itemsPath = f.path; f.path == nil {
			b.errorf(p+"/ItemsPath", "Value cannot be null")
		}
	}
	s.concurrency = b.numberField(o, p, s, "MaxConcurrency", 0, mostSeconds, true)
	s.tolerated = b.numberField(o, p, s, "ToleratedFailureCount", 0, mostSeconds, true)
	s.toleratedPercent = b.numberField(o, p, s, "ToleratedFailurePercentage", 0, 100, false)
	s.label, _ = b.str(o, p, "Label")
	if o.Has("Label") && !labelName.MatchString(s.label) {
		b.remark(SeverityError, CodeLabelName, p+"/Label", "Label must be between 1 and 40 letters, digits, hyphens and underscores")
	}
	if s.label != "" && b.labels[s.label] {
		b.remark(SeverityError, CodeDuplicateLabel, p+"/Label", "Duplicate Label: %s", s.label)
	}
	b.labels[s.label] = true
	b.distributed(o, p, s)
	b.retryCatch(o, p, s)
}

// distributed reads what only a Map in distributed mode may have.
func (b *builder) distributed(o *value.Object, p string, s *state) {
	inline := s.processor != nil && s.processor.mode != "DISTRIBUTED"
	section := func(name string) (*value.Object, string, bool) {
		v, ok := o.Get(name)
		if !ok {
			return nil, "", false
		}
		if inline {
			b.errorf(p+"/"+name, "The field '%s' is only supported for a Map state in DISTRIBUTED mode", name)
		}
		so, ok := b.object(v, p+"/"+name)
		return so, p + "/" + name, ok
	}
	arguments := "Parameters"
	if s.jsonata() {
		arguments = "Arguments"
	}
	if ro, at, ok := section("ItemReader"); ok {
		b.fields(ro, at, []string{"Resource", arguments, "ReaderConfig", "Comment"})
		r := &itemReader{inputType: "JSON"}
		b.required(ro, at, "Resource")
		r.resource, _ = b.str(ro, at, "Resource")
		if v, ok := ro.Get(arguments); ok {
			r.parameters = b.template(v, at+"/"+arguments, "ItemReader/"+arguments, s.jsonata())
		}
		if c, ok := ro.Get("ReaderConfig"); ok {
			if co, ok := b.object(c, at+"/ReaderConfig"); ok {
				b.readerConfig(co, at+"/ReaderConfig", s, r)
			}
		}
		s.reader = r
	}
	if bo, at, ok := section("ItemBatcher"); ok {
		b.fields(bo, at, []string{"MaxItemsPerBatch", "MaxItemsPerBatchPath", "MaxInputBytesPerBatch", "MaxInputBytesPerBatchPath", "BatchInput", "Comment"})
		t := &itemBatcher{
			maxItems: b.numberField(bo, at, s, "MaxItemsPerBatch", 1, mostSeconds, true),
			maxBytes: b.numberField(bo, at, s, "MaxInputBytesPerBatch", 1, maxPayload, true),
		}
		if !t.maxItems.set && !t.maxBytes.set {
			b.errorf(at, "At least one of the fields [MaxItemsPerBatch, MaxInputBytesPerBatch] must be specified")
		}
		if v, ok := bo.Get("BatchInput"); ok {
			t.input = b.template(v, at+"/BatchInput", "ItemBatcher/BatchInput", s.jsonata())
		}
		s.batcher = t
	}
	if wo, at, ok := section("ResultWriter"); ok {
		b.fields(wo, at, []string{"Resource", arguments, "WriterConfig", "Comment"})
		w := &resultWriter{writes: wo.Has("Resource")}
		w.resource, _ = b.str(wo, at, "Resource")
		if v, ok := wo.Get(arguments); ok {
			w.parameters = b.template(v, at+"/"+arguments, "ResultWriter/"+arguments, s.jsonata())
		}
		if c, ok := wo.Get("WriterConfig"); ok {
			if co, ok := b.object(c, at+"/WriterConfig"); ok {
				w.transform, _ = b.oneOf(co, at+"/WriterConfig", "Transformation", "NONE", "COMPACT", "FLATTEN")
				w.outputType, _ = b.oneOf(co, at+"/WriterConfig", "OutputType", "JSON", "JSONL")
			}
		}
		s.writer = w
	}
}

func (b *builder) readerConfig(o *value.Object, at string, s *state, r *itemReader) {
	b.fields(o, at, []string{"InputType", "CSVHeaderLocation", "CSVHeaders", "CSVDelimiter", "MaxItems", "MaxItemsPath", "ItemsPointer", "Transformation", "ManifestType", "Comment"})
	if t, ok := b.oneOf(o, at, "InputType", "JSON", "JSONL", "CSV", "MANIFEST", "PARQUET"); ok {
		r.inputType = t
	}
	r.csvLocation, _ = b.oneOf(o, at, "CSVHeaderLocation", "FIRST_ROW", "GIVEN")
	r.delimiter, _ = b.oneOf(o, at, "CSVDelimiter", "COMMA", "PIPE", "SEMICOLON", "SPACE", "TAB")
	r.itemsPtr, _ = b.str(o, at, "ItemsPointer")
	r.transform, _ = b.oneOf(o, at, "Transformation", "NONE", "LOAD_AND_FLATTEN")
	r.manifest, _ = b.oneOf(o, at, "ManifestType", "S3_INVENTORY", "ATHENA_DATA")
	r.maxItems = b.numberField(o, at, s, "MaxItems", 1, mostSeconds, true)
	if v, ok := o.Get("CSVHeaders"); ok {
		list, _ := b.array(v, at+"/CSVHeaders")
		for i, h := range list {
			text, ok := h.(string)
			if !ok {
				b.errorf(elementPointer(at+"/CSVHeaders", i), "Expected value of type [STRING]")
			}
			r.csvHeaders = append(r.csvHeaders, text)
		}
	}
	if r.inputType == "CSV" && r.csvLocation == "" {
		b.errorf(at, "These fields are required: [CSVHeaderLocation]")
	}
	if r.csvLocation == "GIVEN" && !o.Has("CSVHeaders") {
		b.errorf(at, "These fields are required: [CSVHeaders]")
	}
}
