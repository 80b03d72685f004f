"""The JSON Schema and the validator say the same of every document of the corpus.

HSUP_CHECK_RELEASE is the built tests/check-release.
"""
import json
import os
import pathlib
import re
import subprocess

import jsonschema
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "control-examples"
CORPUS = ROOT / "tests" / "corpus" / "release"
SCHEMA = json.loads((EXAMPLES / "release.schema.json").read_text())

GOOD = sorted((CORPUS / "good").glob("*.json")) + [EXAMPLES / name for name in ("minimal.json", "full.json", "operate.json")]
BAD = sorted((CORPUS / "bad").glob("*.json"))

# What no schema can state: these pass it, and the validator alone refuses them.
BEYOND_SCHEMA = {
    "after-cycle": "a walk from type to type",
    "after-names": "values of one object must be values in another",
    "checks-port": "a variable that is a number, or is not",
    "binds-twice": "two strings of a list may not end alike",
    "duplicate-keys": "a schema sees the object after the parser dropped the first of two keys",
    "duplicate-types": "unique by one member, not as a whole",
    "limits-units": "a number in a string, with a unit",
    "log-shared": "values of several processes compared",
    "quantity-real": "2.0 is an integer to a schema",
    "quantity-sum": "a sum over all processes",
    "rollout-stranger": "keys of one object must be values in another",
    "settle": "two numbers compared",
    "start-never-up": "two numbers compared",
    "stop-signal": "the names of signals are the system's",
}


def name(path):
    return path.stem


def schema_takes(path):
    try:
        document = json.loads(path.read_bytes().decode())
    except (ValueError, RecursionError):
        return False
    return jsonschema.Draft202012Validator(SCHEMA).is_valid(document)


def validate(path):
    done = subprocess.run([os.environ["HSUP_CHECK_RELEASE"], path], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.returncode in (0, 1)
    errors = [line.split("|", 4)[1:] for line in done.stdout.splitlines()]
    assert (done.returncode == 0) == (errors == [])
    return errors


def test_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_lists_are_true():
    assert len(GOOD) > 5 and len(BAD) > 50
    assert set(BEYOND_SCHEMA) <= {name(path) for path in BAD}


@pytest.mark.parametrize("path", GOOD, ids=name)
def test_good(path):
    assert validate(path) == []
    assert schema_takes(path)


@pytest.mark.parametrize("path", BAD, ids=name)
def test_bad(path):
    errors = validate(path)
    expected = [line.split("|", 3) for line in path.with_suffix(".expect").read_text().splitlines()]
    assert expected
    assert [error[:3] for error in errors] == [wanted[:3] for wanted in expected]
    for error, wanted in zip(errors, expected):
        assert wanted[3] in error[3]
    assert schema_takes(path) == (name(path) in BEYOND_SCHEMA)


def keys_of(schema):
    """Every key that the schema knows, of every object."""
    found = set()
    if isinstance(schema, dict):
        found |= set(schema.get("properties", {}))
        for value in schema.values():
            found |= keys_of(value)
    elif isinstance(schema, list):
        for value in schema:
            found |= keys_of(value)
    return found


def test_full_example_has_every_key():
    def keys(value):
        if isinstance(value, dict):
            return set(value).union(*map(keys, value.values()))
        if isinstance(value, list):
            return set().union(*map(keys, value))
        return set()

    assert keys_of(SCHEMA) <= keys(json.loads((EXAMPLES / "full.json").read_text()))


def test_the_manual_has_every_key():
    words = set(re.findall(r"\w+", (ROOT / "docs" / "hsup-control.5").read_text()))
    assert keys_of(SCHEMA) <= words
