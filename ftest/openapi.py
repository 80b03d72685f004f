"""Answers held against docs/openapi.json."""
import json
import pathlib
import re

import jsonschema

DOCUMENT = json.loads((pathlib.Path(__file__).resolve().parent.parent / "docs/openapi.json").read_text())
PATHS = [(re.compile(re.sub(r"\{[a-z]+\}", "[^/]+", path)), path) for path in DOCUMENT["paths"]]
checked = set()  # (method, path, status): what was seen in this run
_validators = {}


def resolve(node):
    return DOCUMENT["components"]["responses"][node["$ref"].split("/")[3]] if "$ref" in node else node


def validator(schema):
    key = json.dumps(schema)
    if key not in _validators:
        _validators[key] = jsonschema.Draft202012Validator({**schema, "components": DOCUMENT["components"]})
    return _validators[key]


def check(method, target, status, content_type, body):
    """Fails when an answer of a documented call is none that is documented."""
    path = next((path for pattern, path in PATHS if pattern.fullmatch(target.partition("?")[0])), None)
    operation = DOCUMENT["paths"].get(path, {}).get(method.lower())
    if operation is None:
        return
    response = operation["responses"].get(str(status))
    assert response, f"{method} {path}: {status} is not documented"
    content = resolve(response)["content"].get(content_type)
    assert content, f"{method} {path}: {status} as {content_type} is not documented"
    if content_type == "application/json":
        validator(content["schema"]).validate(json.loads(body))
    checked.add((method.lower(), path, status))
