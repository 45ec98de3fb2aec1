"""Makes calls with boto3 against servers that the test runs, and prints what
boto3 made of their answers, one JSON line per call. Reads from standard input
[{"service", "operation", "endpoint", "input"}].
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
        return {k: plain(v) for k, v in value.items() if k != "ResponseMetadata"}
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).isoformat()
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if hasattr(value, "read"):
        return base64.b64encode(value.read()).decode()
    return value


def typed(shape, value):
    if shape.type_name == "structure":
        return {k: typed(shape.members[k], v) for k, v in value.items()}
    if shape.type_name == "list":
        return [typed(shape.member, v) for v in value]
    if shape.type_name == "map":
        return {k: typed(shape.value, v) for k, v in value.items()}
    if shape.type_name == "blob":
        return base64.b64decode(value)
    return value


config = botocore.config.Config(retries={"max_attempts": 0}, parameter_validation=False, response_checksum_validation="when_required")
for call in json.load(sys.stdin):
    client = boto3.client(call["service"], endpoint_url=call["endpoint"], region_name="us-east-1", config=config,
                          aws_access_key_id="testing", aws_secret_access_key="testing")
    model = client.meta.service_model.operation_model(call["operation"])
    method = next(m for m, o in client.meta.method_to_api_mapping.items() if o == call["operation"])
    try:
        params = typed(model.input_shape, call["input"]) if model.input_shape else {}
        print(json.dumps({"output": plain(getattr(client, method)(**params))}, sort_keys=True))
    except botocore.exceptions.ClientError as e:
        print(json.dumps({"error": {"code": e.response["Error"]["Code"], "message": e.response["Error"]["Message"],
                                    "status": e.response["ResponseMetadata"]["HTTPStatusCode"]}}))
