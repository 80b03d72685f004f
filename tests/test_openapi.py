"""docs/openapi.json is what the server's table says, and docs/api.md names every path."""
import json
import os
import pathlib
import re
import subprocess

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENT = json.loads((ROOT / "docs/openapi.json").read_text())


def table():
    text = subprocess.run([os.environ["HSUP_LIST_ROUTES"]], capture_output=True, text=True, check=True).stdout
    found = {}
    for line in text.splitlines():
        method, path, role, limit, params = line.split("\t")
        for m in (["get", "post"] if method == "*" else [method.lower()]):
            found[m, path] = (role, int(limit), set(params.split()))
    assert len(found) > 20
    return found


def documented():
    return {(method, path): (o["x-role"], o.get("x-body-limit", 0),
                             {p["name"] for p in o.get("parameters", ()) if p["in"] == "query"})
            for path, methods in DOCUMENT["paths"].items() for method, o in methods.items()}


def test_the_same_routes():
    assert documented() == table()


def test_api_md_names_every_path():
    text = (ROOT / "docs/api.md").read_text()
    text = re.sub(r"\{([a-z]+(?:,[a-z]+)+)\}", "{}", text)
    for _, path in table():
        plain = path.replace("{name}", "NAME")
        assert plain in text or re.sub(r"/[a-z]+$", "/{}", plain) in text, path


def resolve(node):
    return DOCUMENT["components"][node["$ref"].split("/")[2]][node["$ref"].split("/")[3]] if "$ref" in node else node


def test_the_schemas_are_schemas():
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for methods in DOCUMENT["paths"].values():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                assert re.fullmatch(r"[2-5]\d\d", status)
                assert resolve(response)["description"]


def test_the_references_lead_somewhere():
    for kind, name in re.findall(r'"#/components/(\w+)/(\w+)"', json.dumps(DOCUMENT)):
        assert name in DOCUMENT["components"][kind], name
