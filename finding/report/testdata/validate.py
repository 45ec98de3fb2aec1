"""Validates a report on standard input with the peers' own schemas.

usage: validate.py ocsf | asff | junit SCHEMA | html

Prints one line per fault and the number of findings that it looked at; exits
with 1 if there was a fault. The packages are pinned in requirements-test.txt.
"""
import json
import sys


def ocsf(data):
    from jsonschema import Draft202012Validator
    from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

    classes = {2003: "compliance_finding", 2004: "detection_finding", 2005: "incident_finding"}
    events = json.loads(data)
    schemas = {}
    for n, event in enumerate(events):
        version, uid = event["metadata"]["version"], event["class_uid"]
        if (version, uid) not in schemas:
            made = OcsfJsonSchemaEmbedded(get_ocsf_schema(version))
            schema = made.get_class_schema(classes[uid], profiles=event["metadata"].get("profiles", []))
            Draft202012Validator.check_schema(schema)
            schemas[version, uid] = Draft202012Validator(schema)
        for e in schemas[version, uid].iter_errors(event):
            yield f"event {n} ({classes[uid]}) {e.json_path}: {e.message[:300]}"
        if event["type_uid"] != uid * 100 + event["activity_id"]:
            yield f"event {n}: type_uid {event['type_uid']}"
    yield len(events)


def asff(data):
    import re

    import botocore.session
    from botocore.validate import ParamValidator

    findings = json.loads(data)
    shape = botocore.session.get_session().get_service_model("securityhub").operation_model("BatchImportFindings").input_shape
    report = ParamValidator().validate({"Findings": findings}, shape)
    if findings and report.has_errors():
        yield report.generate_report()

    # botocore checks types and required members; patterns, lists of words and
    # ranges stand in its model too.
    def walk(value, shape, path):
        if shape.type_name == "structure":
            for k, v in value.items():
                yield from walk(v, shape.members[k], f"{path}.{k}")
        elif shape.type_name == "list":
            for i, v in enumerate(value):
                yield from walk(v, shape.member, f"{path}[{i}]")
        elif shape.type_name == "map":
            for k, v in value.items():
                yield from walk(k, shape.key, f"{path}.{k}")
                yield from walk(v, shape.value, f"{path}.{k}")
        elif shape.type_name == "string":
            pattern = shape.metadata.get("pattern")
            if pattern and not re.search(pattern, value):
                yield f"{path} {value!r} does not match {pattern}"
            if shape.enum and value not in shape.enum:
                yield f"{path} {value!r} is none of {shape.enum}"

    for i, f in enumerate(findings):
        yield from walk(f, shape.members["Findings"].member, f"Findings[{i}]")
        if len(f["Title"]) > 256 or len(f["Description"]) > 1024 or len(f["ProductFields"]) > 50 or len(json.dumps(f)) > 240_000:
            yield f"Findings[{i}] is larger than the user guide allows"
    yield len(findings)


def junit(data, schema):
    import xml.etree.ElementTree as ET

    import xmlschema

    for e in xmlschema.XMLSchema(schema).iter_errors(data.decode()):
        yield f"{e.path}: {e.reason}"
    total = 0
    for suite in ET.fromstring(data):
        cases = suite.findall("testcase")
        total += len(cases)
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            found = len(suite.findall(f"testcase/{tag}"))
            if int(suite.get(attribute)) != found:
                yield f"suite {suite.get('name')}: {attribute}={suite.get(attribute)} but there are {found}"
        if int(suite.get("tests")) != len(cases):
            yield f"suite {suite.get('name')}: tests={suite.get('tests')} but there are {len(cases)}"
    yield total


def html(data):
    import base64
    import hashlib
    from html.parser import HTMLParser

    faults, scripts, styles, blocks, total = [], [], [], [], [0]

    class Page(HTMLParser):
        inside = None
        policy = ""

        def handle_starttag(self, tag, attrs):
            attrs = dict(attrs)
            self.inside = None
            if tag in ("iframe", "img", "object", "embed", "link", "base", "svg", "video", "audio"):
                faults.append(f"unexpected <{tag}>")
            for k, v in attrs.items():
                if k.startswith("on") or k in ("style", "src", "srcset", "action", "formaction") or k == "href" and not v.startswith("#"):
                    faults.append(f"<{tag} {k}={v!r}>")
            if attrs.get("http-equiv") == "Content-Security-Policy":
                self.policy = attrs["content"]
            if tag == "script":
                kind = blocks if attrs.get("type") == "application/json" else scripts
                kind.append([attrs.get("class"), ""])
                self.inside = kind
            elif tag == "style":
                styles.append([None, ""])
                self.inside = styles

        def handle_data(self, text):
            if self.inside is not None:
                self.inside[-1][1] += text

        def handle_endtag(self, tag):
            self.inside = None

    page = Page(convert_charrefs=True)
    page.feed(data.decode())
    page.close()
    yield from faults
    for name, parts in (("script", scripts), ("style", styles)):
        if len(parts) != 1:
            yield f"{len(parts)} elements {name}, want the report's own"
        for _, text in parts:
            want = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            if f"{name}-src 'sha256-{want}'" not in page.policy:
                yield f"the policy does not allow the report's own {name}"
    if "default-src 'none'" not in page.policy:
        yield f"policy {page.policy!r}"
    for kind, text in blocks:
        value = json.loads(text)
        if kind == "d":
            total[0] += len(value)
    yield total[0]


faults = 0
for line in {"ocsf": ocsf, "asff": asff, "junit": junit, "html": html}[sys.argv[1]](sys.stdin.buffer.read(), *sys.argv[2:]):
    if isinstance(line, int):
        print("checked", line)
    else:
        faults += 1
        print(line)
sys.exit(1 if faults else 0)
