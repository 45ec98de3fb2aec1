"""Runs the SQL of compiled rules in DuckDB over CloudTrail records.

Standard input: {"events": [record…], "queries": {rule: sql}}. Standard output:
{rule: [number of the record…]}, or {rule: {"error": text}}.
"""
import ipaddress
import json
import re
import sys
import tempfile

import duckdb

TEXT = """eventversion eventtime eventsource eventname awsregion sourceipaddress useragent errorcode errormessage requestid
eventid readonly eventtype apiversion recipientaccountid sharedeventid vpcendpointid vpcendpointaccountid eventcategory
sessioncredentialfromconsole edgedevicedetails""".split()
JSON = "requestparameters responseelements additionaleventdata serviceeventdetails".split()
IDENTITY = """STRUCT(type VARCHAR, principalid VARCHAR, arn VARCHAR, accountid VARCHAR, invokedby VARCHAR, accesskeyid VARCHAR,
 username VARCHAR, onbehalfof STRUCT(userid VARCHAR, identitystorearn VARCHAR), sessioncontext STRUCT(
  attributes STRUCT(mfaauthenticated VARCHAR, creationdate VARCHAR),
  sessionissuer STRUCT(type VARCHAR, principalid VARCHAR, arn VARCHAR, accountid VARCHAR, username VARCHAR),
  ec2roledelivery VARCHAR))"""
TLS = "STRUCT(tlsversion VARCHAR, ciphersuite VARCHAR, clientprovidedhostheader VARCHAR)"


def text(value):
    """A value as the JSON SerDe of Athena gives it for a string column."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def lower(value):
    if isinstance(value, dict):
        return {k.lower(): lower(v) for k, v in value.items()}
    return text(value)


def row(number, event):
    members = {k.lower(): v for k, v in event.items()}
    out = {"n": number}
    for column in TEXT:
        out[column] = text(members.get(column))
    for column in JSON:
        value = members.get(column)
        out[column] = None if value is None else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for column in ("useridentity", "tlsdetails"):
        value = members.get(column)
        out[column] = lower(value) if isinstance(value, dict) else None
    return out


def addresses(value, found):
    """Every address in the records: DuckDB has no type for them."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for v in value:
            addresses(v, found)
    elif isinstance(value, str):
        try:
            found.add(ipaddress.ip_address(value))
        except ValueError:
            pass


def main():
    data = json.load(sys.stdin)
    db = duckdb.connect()
    columns = {"n": "BIGINT", "useridentity": IDENTITY, "tlsdetails": TLS}
    columns.update({c: "VARCHAR" for c in TEXT + JSON})
    columns = {c: " ".join(kind.split()) for c, kind in columns.items()}
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
        for i, event in enumerate(data["events"]):
            f.write(json.dumps(row(i, event)) + "\n")
        f.flush()
        db.execute("CREATE TABLE cloudtrail_logs AS SELECT * FROM read_json(?, format='newline_delimited', columns=" + json.dumps(columns).replace('"', "'") + ")", [f.name])
    # What Trino calls otherwise.
    db.execute(r"""CREATE MACRO trino_path(p) AS regexp_replace(p, '\["((?:[^"\\]|\\.)*)"\]', '."\1"', 'g')""")
    db.execute("CREATE MACRO json_extract_scalar(j, p) AS CASE WHEN json_type(j, trino_path(p)) IN ('OBJECT', 'ARRAY') THEN NULL ELSE json_extract_string(j, trino_path(p)) END")
    db.execute("CREATE MACRO regexp_like(s, p) AS regexp_matches(s, p)")
    db.execute("CREATE MACRO from_iso8601_timestamp(s) AS CAST(s AS TIMESTAMPTZ)")

    seen = set()
    addresses(data["events"], seen)

    def in_network(match):
        network = ipaddress.ip_network(match[1])
        inside = sorted(str(a) for a in seen if a in network)
        return "(%s IN (%s))" % (match[2], ", ".join(f"'{a}'" for a in inside) or "NULL")

    out = {}
    for rule, sql in data["queries"].items():
        sql = re.sub(r"contains\('([0-9a-f.:/]+)', try_cast\((.*?) AS ipaddress\)\)", in_network, sql)
        try:
            names = [d[0] for d in db.execute(sql).description]
            at = names.index("n")
            out[rule] = sorted(r[at] for r in db.fetchall())
        except Exception as e:  # the test reports it
            out[rule] = {"error": str(e)[:2000]}
    json.dump(out, sys.stdout)


main()
