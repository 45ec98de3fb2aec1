"""Runs the SQL of compiled rules in DuckDB over the tables that AWS documents.

Standard input: {"tables": {table: [record…]}, "queries": {rule: {"sql": text,
"table": name, "own": [first, end]}}, "shared": {table: end}}. A query sees the
records before "shared" of its table, and its own. Standard output: {rule: [number
of the record…]}, {rule: {"error": text}}, or for a query that groups {rule:
{"groups": [row…]}}.
"""
import datetime
import ipaddress
import json
import re
import sys
import tempfile

import duckdb

CHUNK = 2000
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

# https://docs.aws.amazon.com/athena/latest/ug/vpc-flow-logs-create-table-statement.html
FLOW = {"version": "INT", "account_id": "VARCHAR", "interface_id": "VARCHAR", "srcaddr": "VARCHAR", "dstaddr": "VARCHAR", "srcport": "INT",
        "dstport": "INT", "protocol": "BIGINT", "packets": "BIGINT", "bytes": "BIGINT", "start": "BIGINT", "end": "BIGINT",
        "action": "VARCHAR", "log_status": "VARCHAR", "vpc_id": "VARCHAR", "subnet_id": "VARCHAR", "instance_id": "VARCHAR",
        "tcp_flags": "INT", "type": "VARCHAR", "pkt_srcaddr": "VARCHAR", "pkt_dstaddr": "VARCHAR", "region": "VARCHAR", "az_id": "VARCHAR",
        "sublocation_type": "VARCHAR", "sublocation_id": "VARCHAR", "pkt_src_aws_service": "VARCHAR", "pkt_dst_aws_service": "VARCHAR",
        "flow_direction": "VARCHAR", "traffic_path": "INT"}


# https://docs.aws.amazon.com/athena/latest/ug/create-alb-access-logs-table.html
ALB = dict.fromkeys("""type time elb client_ip client_port target_ip target_port request_processing_time target_processing_time
 response_processing_time elb_status_code target_status_code received_bytes sent_bytes request_verb request_url request_proto user_agent
 ssl_cipher ssl_protocol target_group_arn trace_id domain_name chosen_cert_arn matched_rule_priority request_creation_time actions_executed
 redirect_url lambda_error_reason target_port_list target_status_code_list classification classification_reason conn_trace_id""".split(), "VARCHAR")
ALB.update(dict.fromkeys("client_port target_port elb_status_code".split(), "INT"), received_bytes="BIGINT", sent_bytes="BIGINT",
           request_processing_time="DOUBLE", target_processing_time="DOUBLE", response_processing_time="DOUBLE")
ALB_FIELDS = {"lambda_error_reason": "error_reason", "target_port_list": "target_list"}

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-s3-access-logs-to-identify-requests.html
S3_FIELDS = dict(zip("""bucketowner bucket_name requestdatetime remoteip requester requestid operation key request_uri httpstatus errorcode
 bytessent objectsize totaltime turnaroundtime referrer useragent versionid hostid sigv ciphersuite authtype endpoint tlsversion
 accesspointarn aclrequired""".split(), """bucket_owner bucket time remote_ip requester request_id operation key request_uri http_status
 error_code bytes_sent object_size total_time turn_around_time referrer user_agent version_id host_id signature_version cipher_suite
 authentication_type host_header tls_version access_point_arn acl_required""".split()))
S3 = {c: "BIGINT" if c in ("bytessent", "objectsize") else "VARCHAR" for c in S3_FIELDS}

# https://docs.aws.amazon.com/athena/latest/ug/querying-r53-resolver-logs.html
DNS = dict.fromkeys("""version account_id region vpc_id query_timestamp query_name query_type query_class rcode srcaddr transport
 firewall_rule_action firewall_rule_group_id firewall_domain_list_id""".split(), "VARCHAR")
DNS["srcport"] = "INT"

# https://docs.aws.amazon.com/athena/latest/ug/create-waf-table.html
MATCHES = "STRUCT(conditiontype VARCHAR, sensitivitylevel VARCHAR, location VARCHAR, matcheddata VARCHAR[])[]"
WAF = {"timestamp": "BIGINT", "formatversion": "INT", "webaclid": "VARCHAR", "terminatingruleid": "VARCHAR", "terminatingruletype": "VARCHAR",
       "action": "VARCHAR", "terminatingrulematchdetails": MATCHES, "httpsourcename": "VARCHAR", "httpsourceid": "VARCHAR",
       "rulegrouplist": """STRUCT(rulegroupid VARCHAR, terminatingrule STRUCT(ruleid VARCHAR, action VARCHAR),
        nonterminatingmatchingrules STRUCT(ruleid VARCHAR, action VARCHAR)[])[]""",
       "ratebasedrulelist": "STRUCT(ratebasedruleid VARCHAR, limitkey VARCHAR, maxrateallowed INT)[]",
       "nonterminatingmatchingrules": "STRUCT(ruleid VARCHAR, action VARCHAR)[]", "responsecodesent": "VARCHAR",
       "httprequest": """STRUCT(clientip VARCHAR, country VARCHAR, headers STRUCT(name VARCHAR, value VARCHAR)[], uri VARCHAR, args VARCHAR,
        httpversion VARCHAR, httpmethod VARCHAR, requestid VARCHAR)""",
       "labels": "STRUCT(name VARCHAR)[]"}

# https://docs.aws.amazon.com/athena/latest/ug/querying-guardduty.html
GUARDDUTY = dict.fromkeys("""schemaversion accountid region partition id arn type resource service severity createdat updatedat title
 description""".split(), "VARCHAR")

# docs/compile.md
SECURITYHUB = dict.fromkeys("""schemaversion id productarn productname companyname region generatorid awsaccountid firstobservedat
 lastobservedat createdat updatedat title description sourceurl verificationstate workflowstate recordstate severity remediation
 productfields userdefinedfields resources compliance workflow note vulnerabilities findingproviderfields""".split(), "VARCHAR")
SECURITYHUB["types"] = "VARCHAR[]"


def text(value):
    """A value as the JSON SerDe of Athena gives it for a string column."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return compact(value)


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def lower(value):
    if isinstance(value, dict):
        return {k.lower(): lower(v) for k, v in value.items()}
    return text(value)


def trail(event):
    members = {k.lower(): v for k, v in event.items()}
    out = {}
    for column in TEXT:
        out[column] = text(members.get(column))
    for column in JSON:
        value = members.get(column)
        out[column] = None if value is None else compact(value)
    for column in ("useridentity", "tlsdetails"):
        value = members.get(column)
        out[column] = lower(value) if isinstance(value, dict) else None
    return out


def flow(line):
    """A line as LazySimpleSerDe reads it: what is no number is null in a column
    of numbers, what the line lacks is null, and - is text."""
    out = {}
    for column, kind in FLOW.items():
        value = line.get(column.replace("_", "-"))
        if value is not None and kind != "VARCHAR":
            value = int(value) if re.fullmatch(r"-?\d+", value) else None
        out[column] = value
    return out


def typed(kind, value):
    """A column's text in a log of lines: what is no number is null in a column of
    numbers."""
    if value is None or kind == "VARCHAR":
        return value
    if not re.fullmatch(r"-?\d+(\.\d+)?" if kind == "DOUBLE" else r"-?\d+", str(value)):
        return None
    return float(value) if kind == "DOUBLE" else int(value)


def balancer(line):
    return {c: typed(kind, line.get(ALB_FIELDS.get(c, c))) for c, kind in ALB.items()}


def access(line):
    """The quotes of the log stand in the columns that it quotes."""
    out = {c: typed(S3[c], line.get(f)) for c, f in S3_FIELDS.items()}
    for c in ("request_uri", "referrer", "useragent"):
        if out[c] is not None:
            out[c] = '"' + out[c] + '"'
    try:
        out["requestdatetime"] = datetime.datetime.fromisoformat(line.get("time")).strftime("%d/%b/%Y:%H:%M:%S %z")
    except (TypeError, ValueError):
        pass
    return out


def resolver(record):
    return {c: typed(kind, text(record.get(c))) for c, kind in DNS.items()}


def small(value):
    """A record as the JSON SerDe reads it: every name in lower case."""
    if isinstance(value, dict):
        return {k.lower(): small(v) for k, v in value.items()}
    if isinstance(value, list):
        return [small(v) for v in value]
    return value


def shaped(kind, value):
    """A value as the type of its column has it; what cannot be so is null."""
    if value is None:
        return None
    if kind.endswith("[]"):
        return [shaped(kind[:-2], v) for v in value] if isinstance(value, list) else None
    if kind.startswith("STRUCT("):
        if not isinstance(value, dict):
            return None
        return {name: shaped(member, value.get(name)) for name, member in members(kind[7:-1])}
    return typed(kind, text(value))


def members(kinds):
    """The members of a structure."""
    out, depth, start = [], 0, 0
    for i, c in enumerate(kinds + ","):
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            name, kind = kinds[start:i].split(None, 1)
            out.append((name, kind.strip()))
            start = i + 1
    return out


def reader(kinds):
    """The rows of a table of the JSON SerDe."""
    kinds = {c: " ".join(kind.split()) for c, kind in kinds.items()}
    return lambda record: {c: shaped(kind, small(record).get(c)) for c, kind in kinds.items()}


def tables():
    columns = {"useridentity": IDENTITY, "tlsdetails": TLS}
    columns.update({c: "VARCHAR" for c in TEXT + JSON})
    return {"cloudtrail_logs": (trail, columns), "vpc_flow_logs": (flow, FLOW), "alb_access_logs": (balancer, ALB),
            "mybucket_logs": (access, S3), "r53_rlogs": (resolver, DNS), "waf_logs": (reader(WAF), WAF),
            "gd_logs": (reader(GUARDDUTY), GUARDDUTY), "securityhub_findings": (reader(SECURITYHUB), SECURITYHUB)}


def addresses(value, found):
    """Every address in the records: DuckDB has no type for them."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for v in value:
            addresses(v, found)
    elif isinstance(value, str):
        try:
            found.add(value)
            ipaddress.ip_address(value)
        except ValueError:
            found.discard(value)


def lambdas(sql):
    """The functions over lists, which DuckDB spells otherwise."""
    for name, form in (("any_match(", "(len(list_filter(%s, lambda element: %s)) > 0)"), ("transform(", "list_transform(%s, lambda element: %s)")):
        at = sql.find(name)
        while at >= 0:
            inner = sql[at + len(name):]
            depth, end = 1, 0
            for end, c in enumerate(inner):
                depth += (c == "(") - (c == ")")
                if depth == 0:
                    break
            each, body = inner[:end].split(", element -> ", 1)
            sql = sql[:at] + form % (each, body) + inner[end + 1:]
            at = sql.find(name, at + len(form))
    return sql.replace("element_at(", "list_extract(").replace("cardinality(", "len(")


def main():
    data = json.load(sys.stdin)
    db = duckdb.connect()
    seen = set()
    for table, (row, columns) in tables().items():
        columns = {"n": "BIGINT", **{c: " ".join(kind.split()) for c, kind in columns.items()}}
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
            for i, event in enumerate(data["tables"].get(table, [])):
                f.write(json.dumps({"n": i, **row(event)}) + "\n")
                addresses(event, seen)
            f.flush()
            spec = json.dumps(columns).replace('"', "'")
            db.execute(f"CREATE TABLE all_{table} AS SELECT * FROM read_json(?, format='newline_delimited', maximum_object_size=50000000, columns={spec})", [f.name])
        # A query need not go through the records of all others.
        shared = data["shared"].get(table, 0)
        db.execute(f"CREATE TABLE shared_{table} AS SELECT * FROM all_{table} WHERE n < {shared}")
        for k in range(len(data["tables"].get(table, [])) // CHUNK + 1):
            db.execute(f"CREATE TABLE {table}_{k} AS SELECT * FROM all_{table} WHERE n >= {max(k * CHUNK, shared)} AND n < {(k + 1) * CHUNK}")
    # What Trino calls otherwise.
    db.execute(r"""CREATE MACRO trino_path(p) AS regexp_replace(p, '\["((?:[^"\\]|\\.)*)"\]', '."\1"', 'g')""")
    db.execute("CREATE MACRO json_extract_scalar(j, p) AS CASE WHEN json_type(j, trino_path(p)) IN ('OBJECT', 'ARRAY') THEN NULL ELSE json_extract_string(j, trino_path(p)) END")
    db.execute("CREATE MACRO trino_extract(j, p) AS json_extract(j, trino_path(p))")
    db.execute("CREATE MACRO json_format(j) AS CAST(j AS VARCHAR)")
    db.execute("CREATE MACRO regexp_like(s, p) AS regexp_matches(s, p)")
    db.execute("CREATE MACRO from_iso8601_timestamp(s) AS CAST(s AS TIMESTAMPTZ) AT TIME ZONE 'UTC'")
    db.execute("CREATE MACRO from_unixtime(n) AS to_timestamp(n) AT TIME ZONE 'UTC'")
    db.execute("CREATE MACRO parse_datetime(s, f) AS CAST(strptime(s, '%d/%b/%Y:%H:%M:%S %z') AS TIMESTAMPTZ) AT TIME ZONE 'UTC'")
    db.execute("CREATE MACRO to_unixtime(t) AS epoch(t)")

    parsed = {a: ipaddress.ip_address(a) for a in seen}
    networks = {}

    def in_network(match):
        if match[1] not in networks:
            network = ipaddress.ip_network(match[1])
            inside = sorted(a for a, ip in parsed.items() if (getattr(ip, "ipv4_mapped", None) or ip) in network)
            name = f"network_{len(networks)}"
            db.execute(f"CREATE TABLE {name} (a VARCHAR)")
            if inside:
                db.executemany(f"INSERT INTO {name} VALUES (?)", [[a] for a in inside])
            networks[match[1]] = name
        return "(%s IN (SELECT a FROM %s))" % (match[2], networks[match[1]])

    def in_networks(match):
        each = (f"contains({n}, try_cast({match[2]} AS ipaddress))" for n in match[1].split(", "))
        return "(%s)" % " OR ".join(each)

    out = {}
    for rule, query in data["queries"].items():
        sql, table, (first, end) = query["sql"], query["table"], query["own"]
        sql = re.sub(r"any_match\(ARRAY\[(.*?)\], network -> contains\(network, try_cast\((.*?) AS ipaddress\)\)\)", in_networks, sql)
        sql = re.sub(r"contains\('([0-9a-f.:/]+)', try_cast\((.*?) AS ipaddress\)\)", in_network, sql)
        sql = sql.replace("s3_access_logs_db.", "").replace("json_extract(", "trino_extract(")
        sql = lambdas(sql)
        try:
            parts = [f"SELECT * FROM shared_{table}"]
            parts += [f"SELECT * FROM {table}_{k} WHERE n >= {first} AND n < {end}" for k in range(first // CHUNK, (end - 1) // CHUNK + 1) if first < end]
            db.execute(f"CREATE OR REPLACE VIEW {table} AS {' UNION ALL '.join(parts)}")
            if "GROUP BY" in sql:
                rows = db.execute(sql).fetchall()
                out[rule] = {"groups": [[v.replace(tzinfo=datetime.timezone.utc).timestamp() if isinstance(v, datetime.datetime) else v for v in r] for r in rows]}
            else:
                out[rule] = sorted(r[0] for r in db.execute(f"SELECT n FROM ({sql})").fetchall())
        except Exception as e:  # the test reports it
            out[rule] = {"error": str(e)[:2000]}
    json.dump(out, sys.stdout)


main()
