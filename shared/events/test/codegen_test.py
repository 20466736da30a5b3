"""What codegen.py refuses, and what it says then."""
import json
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, sys.argv.pop())
sys.dont_write_bytecode = True
import codegen

TOPIC = {"name": "things", "key": "id", "value": "Thing", "cleanup": "delete", "retention": "7d", "tombstones": False,
         "writers": ["maker"], "readers": ["user"], "deadLetters": "user"}


def thing(*fields, **more):
    return {"type": "record", "name": "Thing", "fields": list(fields) or [{"name": "id", "type": "string"}], **more}


class Codegen(unittest.TestCase):
    def run_with(self, *schemas, topics=(TOPIC,), services=("maker", "user"), **extra):
        with tempfile.TemporaryDirectory() as directory:
            for schema in schemas or [thing()]:
                (Path(directory) / f"{schema['name']}.avsc").write_text(json.dumps(schema))
            catalogue = {"services": list(services), "topics": list(topics), **extra}
            (Path(directory) / "topics.json").write_text(json.dumps(catalogue))
            codegen.main(directory, directory + "/out")
            return (Path(directory) / "out/schemas.gen.h").read_text()

    def refuses(self, message, *args, **kwargs):
        with self.assertRaises(SystemExit) as refused:
            self.run_with(*args, **kwargs)
        self.assertIn(message, str(refused.exception))

    def field(self, type, **more):
        return thing({"name": "f", "type": type, **more})

    def test_accepts(self):
        self.assertIn("extern const struct topic topic_things;", self.run_with())

    def test_names(self):
        header = self.run_with(thing({"name": "customerId", "type": "int"}, {"name": "HTTPStatus", "type": "int"},
                                     {"name": "long", "type": "int"}))
        for member in ("customer_id;", "http_status;", "long_;"):
            self.assertIn(member, header)

    def test_topics(self):
        self.refuses("there is no Other.avsc", topics=[{**TOPIC, "value": "Other"}])
        self.refuses("no service 'ghost'", topics=[{**TOPIC, "writers": ["ghost"]}])
        self.refuses("stands twice", topics=[TOPIC, TOPIC])
        self.refuses("C name of another", topics=[TOPIC, {**TOPIC, "name": "a-b"}, {**TOPIC, "name": "a.b"}])
        self.refuses("unknown ['colour']", topics=[{**TOPIC, "colour": 1}])
        self.refuses("lacks ['key']", topics=[{k: v for k, v in TOPIC.items() if k != "key"}])
        self.refuses("cleanup is", topics=[{**TOPIC, "cleanup": "never"}])
        self.refuses("retention is", topics=[{**TOPIC, "retention": "a week"}])
        self.refuses("deadLetters must be one of its readers", topics=[{**TOPIC, "deadLetters": "maker"}])
        self.refuses("a bad name", topics=[{**TOPIC, "name": "Things"}])
        self.refuses("partitions", topics=[{**TOPIC, "partitions": -1}])
        self.refuses("tombstones is", topics=[{**TOPIC, "tombstones": "no"}])
        self.refuses("no topics", topics=[])
        self.refuses("needs services and topics", other=1)

    def test_types(self):
        self.refuses("no such type: \"Nothing\"", self.field("Nothing"))
        self.refuses("no C mapping", self.field({"type": "map", "values": "int"}))
        self.refuses("the only unions", self.field(["string", "null"]))
        self.refuses("the only unions", self.field(["null", "string", "int"]))
        self.refuses("the only arrays", self.field({"type": "array", "items": {"type": "enum", "name": "E", "symbols": ["A"]}}))
        self.refuses("contains itself", self.field({"type": "array", "items": "Thing"}))
        self.refuses("only primitive types", self.field(["null", {"type": "enum", "name": "E", "symbols": ["A"]}]))
        self.refuses("defined twice", thing(), {**thing(), "name": "Other", "fields": [{"name": "t", "type": thing()}]})
        self.refuses("same name in C", thing({"name": "aB", "type": "int"}, {"name": "a_b", "type": "int"}))
        self.refuses("aliases", self.field("int", aliases=["g"]))
        self.refuses("needs symbols", self.field({"type": "enum", "name": "E", "symbols": ["A", "A"]}))

    def test_defaults(self):
        for type, value in (("int", 1 << 31), ("int", True), ("long", 1 << 63), ("long", 1.5), ("string", None),
                            ("boolean", 0), ("double", "0"), (["null", "int"], 3), ("bytes", "\u0100"),
                            ({"type": "enum", "name": "E", "symbols": ["A"]}, "B"),
                            ({"type": "array", "items": "string"}, ["x"])):
            self.refuses("does not fit", self.field(type, default=value))

    def test_malformed_json(self):
        with tempfile.TemporaryDirectory() as directory:
            (Path(directory) / "Thing.avsc").write_text('{"type": "record", "type": "record"}')
            with self.assertRaises(SystemExit) as refused:
                codegen.main(directory, directory)
            self.assertIn("stands twice", str(refused.exception))


if __name__ == "__main__":
    unittest.main()
