"""A consumer of messages: each says what becomes of it. What came is printed, one event a line."""

import json
import time

print("started", flush=True)


def handler(event, context):
    print("event", json.dumps(event), flush=True)
    failed = []
    for record in event["Records"]:
        message = json.loads(record["body"])
        if "answer" in message:
            return message["answer"]
        if "raise" in message:
            raise RuntimeError("on purpose")
        time.sleep(message.get("sleep", 0))
        if int(record["attributes"]["ApproximateReceiveCount"]) <= message.get("failures", 0):
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}
