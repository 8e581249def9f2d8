"""A function that does what the path says, to see what the platform makes of it."""

import base64
import importlib
import json
import os
import signal
import socket
import sys
import time

calls = 0


def handler(event, context):
    global calls  # noqa: PLW0603
    calls += 1
    return globals()[event["rawPath"].strip("/").replace("/", "_")](event, context)


def echo(event, context):
    return answer(event)


def resolve(event, context):
    return answer(socket.getaddrinfo(event["queryStringParameters"]["host"], 80)[0][4])


def measure(event, context):
    size = len(json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode())
    return answer({"size": size})


def sized(event, context):
    made = {"statusCode": 200, "headers": {"content-type": "text/plain"}, "body": ""}
    made["body"] = "x" * (int(event["queryStringParameters"]["n"]) - len(json.dumps(made)))
    return made


def context(event, context):
    left = context.get_remaining_time_in_millis()
    names = (
        "function_name",
        "function_version",
        "invoked_function_arn",
        "memory_limit_in_mb",
        "aws_request_id",
    )
    return answer({name: getattr(context, name) for name in names} | {"left": left})


def environment(event, context):
    return answer({"variables": dict(os.environ), "path": sys.path, "pid": os.getpid(), "calls": calls})


def imported(event, context):
    try:
        importlib.import_module(event["queryStringParameters"]["name"])
    except ImportError as error:
        return answer({"missing": error.name})
    return answer({"missing": None})


def sleep(event, context):
    seconds = event["queryStringParameters"]["s"]
    time.sleep(float(seconds))
    print("slept", seconds)
    return answer({"pid": os.getpid()})


def crash(event, context):
    os.kill(os.getpid(), signal.SIGKILL)


def leave(event, context):
    sys.exit(3)


def failure(event, context):
    raise RuntimeError("on purpose")


def raw(event, context):
    return json.loads(event["body"])


def note(event, context):
    print("noted", event["rawQueryString"])
    return answer({})


def binary(event, context):
    body = base64.b64encode(bytes(range(256))).decode()
    return {"statusCode": 200, "body": body, "isBase64Encoded": True}


def head(event, context):
    return {"statusCode": 200, "headers": {"Content-Length": "12345", "X-Kind": "blob"}, "body": ""}


def away(event, context):
    location = f"http://{event['queryStringParameters']['to']}/bucket/key?X-Amz-Signature=1"
    return {"statusCode": 307, "headers": {"Location": location}, "body": ""}


def answer(value):
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(value)}
