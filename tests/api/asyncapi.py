"""usage: asyncapi.py DOCUMENT SCHEMA   Whether a document is AsyncAPI by the published JSON schema, the Avro in it included, and
whether what it refers to is in it. Prints each fault; needs what requirements.txt installs."""

import json
import pathlib
import sys

import jsonschema_rs
import yaml


def faults(document, schema):
    for error in jsonschema_rs.validator_for(schema).iter_errors(document):
        yield f"/{'/'.join(map(str, error.instance_path))}: {error.message[:300]}"
    yield from dangling(document, document, "")


def dangling(document, node, at):
    if isinstance(node, dict) and "$ref" in node:
        found = document
        for name in node["$ref"].removeprefix("#/").split("/"):
            found = found.get(name) if isinstance(found, dict) else None
        if found is None:
            yield f"{at}: there is no {node['$ref']}"
    for name, inner in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from dangling(document, inner, f"{at}/{name}")


if __name__ == "__main__":
    found = list(faults(yaml.safe_load(pathlib.Path(sys.argv[1]).read_text()), json.loads(pathlib.Path(sys.argv[2]).read_text())))
    print("\n".join(found))
    sys.exit(len(found) > 0)
