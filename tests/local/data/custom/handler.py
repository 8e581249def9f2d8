"""A custom resource that answers as its properties say, and shows the event that it got."""

import json
import urllib.request


def handler(event, context):
    wanted = event["ResourceProperties"]
    if wanted.get("Raise"):
        raise RuntimeError("on purpose")
    answer = {
        "Status": wanted.get("Answer", "SUCCESS"),
        "Reason": "because",
        "PhysicalResourceId": event.get("PhysicalResourceId", "made-once"),
        "StackId": event["StackId"],
        "RequestId": wanted.get("RequestId", event["RequestId"]),
        "LogicalResourceId": event["LogicalResourceId"],
        "Data": {"Event": json.dumps(event)},
    }
    if "Elsewhere" in wanted:
        try:
            put(event["ResponseURL"] + "x", answer)
        except urllib.error.HTTPError as error:
            answer["Data"]["Elsewhere"] = error.code
    put(event["ResponseURL"], answer)


def put(url, answer):
    request = urllib.request.Request(url, json.dumps(answer).encode(), {"Content-Type": ""}, method="PUT")
    with urllib.request.urlopen(request, timeout=5) as response:
        assert response.status == 200
