"""Makes the calls of calls.json with boto3 and prints what it returns, one JSON
line per call: {"output": ...} or {"error": {"code", "message", "status"}}.

usage: boto.py ENDPOINT CALLS
"""
import base64
import datetime
import json
import sys

import boto3
import botocore.config
import botocore.exceptions


def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).isoformat()
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if hasattr(value, "read"):
        return base64.b64encode(value.read()).decode()
    return value


def blobs(shape, value):
    """Inputs hold blobs in base64; boto3 wants bytes."""
    if shape.type_name == "structure":
        return {k: blobs(shape.members[k], v) for k, v in value.items()}
    if shape.type_name == "list":
        return [blobs(shape.member, v) for v in value]
    if shape.type_name == "map":
        return {k: blobs(shape.value, v) for k, v in value.items()}
    if shape.type_name == "blob":
        return base64.b64decode(value)
    return value


def main():
    endpoint, calls = sys.argv[1:]
    config = botocore.config.Config(retries={"max_attempts": 1}, response_checksum_validation="when_required")
    clients = {}
    remembered = {}
    for call in json.load(open(calls)):
        service = call["service"]
        region = call.get("region", "us-east-1")
        client = clients.setdefault((service, region), boto3.client(
            service, endpoint_url=endpoint, region_name=region, config=config,
            aws_access_key_id="testing", aws_secret_access_key="testing"))
        model = client.meta.service_model.operation_model(call["operation"])
        params = json.loads(fill(json.dumps(call.get("input", {})), remembered))
        try:
            if model.input_shape is not None:
                params = blobs(model.input_shape, params)
            method = next(m for m, o in client.meta.method_to_api_mapping.items() if o == call["operation"])
            if call.get("all"):
                output = client.get_paginator(method).paginate(**params).build_full_result()
            else:
                output = getattr(client, method)(**params)
            output.pop("ResponseMetadata", None)
            output = plain(output)
            for name, path in call.get("remember", {}).items():
                v = output
                for step in path.split("."):
                    v = v[int(step)] if step.isdigit() else v[step]
                remembered[name] = v
            print(json.dumps({"output": output}, sort_keys=True))
        except botocore.exceptions.ClientError as e:
            error = e.response["Error"]
            print(json.dumps({"error": {
                "code": error.get("Code", ""), "message": error.get("Message", ""),
                "status": e.response["ResponseMetadata"]["HTTPStatusCode"]}}))


def fill(text, remembered):
    for name, value in remembered.items():
        text = text.replace("$" + name, value)
    return text


main()
