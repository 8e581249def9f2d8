"""The policy that lets a user and a service account pull one repository, as it is documented."""

from __future__ import annotations

import json
from typing import Any

_DOCUMENTED = """
{
  "kind": "policy",
  "name": "POLICY_NAME",
  "description": "",
  "tags": {},
  "origin": "default",
  "targetKind": "image",
  "targetLinks": [],
  "targetQuery": {
    "kind": "image",
    "fetch": "items",
    "spec": {"match": "all", "terms": [{"op": "=", "property": "repository", "value": "IMAGE_NAME"}]}
  },
  "bindings": [
    {
      "permissions": ["pull"],
      "principalLinks": ["/org/ORG/user/USER_EMAIL", "/org/ORG/serviceaccount/SERVICE_ACCOUNT_NAME"]
    }
  ]
}
"""


def documented(**names: str) -> Any:
    """The policy with its placeholders replaced: ``POLICY_NAME``, ``IMAGE_NAME``, ``ORG``, ``USER_EMAIL`` and
    ``SERVICE_ACCOUNT_NAME``.
    """
    text = _DOCUMENTED
    for placeholder, name in names.items():
        assert placeholder in text
        text = text.replace(placeholder, name)
    return json.loads(text)
