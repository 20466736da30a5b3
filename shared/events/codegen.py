#!/usr/bin/env python3
"""Makes schemas.gen.h and schemas.gen.c of a directory with *.avsc and topics.json.

    codegen.py DIRECTORY OUTPUT_DIRECTORY

Each .avsc holds one record; a name that another file defines may be used as a type. What has no C mapping
(event.h has the table) or does not fit together is an error with the file's name, and nothing is written.
"""
import json
import math
import re
import sys
from pathlib import Path

PRIMITIVES = {  # Avro: (EVENT_ kind, C type, C type with null)
    "string": ("STRING", "struct slice", "struct slice"),
    "bytes": ("BYTES", "struct slice", "struct slice"),
    "int": ("INT", "int32_t", "struct optional_int"),
    "long": ("LONG", "int64_t", "struct optional_long"),
    "double": ("DOUBLE", "double", "struct optional_double"),
    "boolean": ("BOOLEAN", "bool", "struct optional_boolean"),
}
KEYWORDS = set("""auto bool break case char const continue default do double else enum extern false float for
    goto if inline int long register restrict return short signed sizeof static struct switch true typedef union
    unsigned void volatile while""".split())
MISSING = object()


class Fail(Exception):
    pass


def need(condition, message):
    if not condition:
        raise Fail(message)


def snake(name):
    """customerId, ReservedStock, order-requests -> customer_id, reserved_stock, order_requests"""
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    name = re.sub(r"([A-Z])([A-Z][a-z])", r"\1_\2", name)
    name = name.replace("-", "_").lower()
    return name + "_" if name in KEYWORDS else name


def c_string(text):
    out = ""
    for byte in text.encode():
        char = chr(byte)
        out += "\\" + char if char in '"\\?' else char if 32 <= byte < 127 else "\\%03o" % byte
    return '"%s"' % out


class Enum:
    def __init__(self, schema):
        self.name, self.symbols = schema["name"], schema.get("symbols")
        need(self.symbols and len(set(self.symbols)) == len(self.symbols), f"enum {self.name}: needs symbols, each once")
        self.fallback = self.symbols.index(schema["default"]) if "default" in schema else -1
        self.c = snake(self.name)

    def constant(self, symbol):
        return f"{self.c}_{symbol}".upper()

    def declaration(self):
        return "enum %s { %s };\nextern const struct event_enum %s_enum;\n" % (
            self.c, ", ".join(self.constant(s) for s in self.symbols), self.c)

    def definition(self):
        return "const struct event_enum %s_enum = {%s, (const char *const[]){%s}, %d, %d};\n" % (
            self.c, c_string(self.name), ", ".join(c_string(s) for s in self.symbols), len(self.symbols), self.fallback)


class Field:
    def __init__(self, record, schema, types):
        self.name, self.c, self.doc = schema["name"], snake(schema["name"]), schema.get("doc")
        self.where = f"{record}.{self.name}"
        need("aliases" not in schema, f"{self.where}: aliases are not supported")
        kind = schema["type"]
        self.nullable = isinstance(kind, list)
        if self.nullable:
            need(len(kind) == 2 and kind[0] == "null", f"{self.where}: the only unions are [\"null\", type]")
            kind = kind[1]
        self.symbols = self.type = None
        if isinstance(kind, dict) and kind["type"] in PRIMITIVES:
            kind = kind["type"]  # a logical type is its primitive
        if isinstance(kind, str) and kind in PRIMITIVES:
            self.kind, plain, optional = PRIMITIVES[kind]
            self.ctype = optional if self.nullable else plain
        else:
            need(not self.nullable, f"{self.where}: only primitive types may be null")
            self.named(kind, types)
        self.default = schema.get("default", MISSING)
        if self.default is not MISSING:
            self.initializer(self.default)  # a default that does not fit is an error now

    def named(self, kind, types):
        is_array = isinstance(kind, dict) and kind["type"] == "array"
        item = kind["items"] if is_array else kind
        if is_array and item == "string":
            self.kind, self.ctype = "STRINGS", "struct slices"
            return
        found = types.use(item, self.where)
        if is_array:
            need(isinstance(found, Record), f"{self.where}: the only arrays are of strings and of records")
            found.in_array = True
            self.kind, self.type, self.ctype = "RECORDS", found, f"struct {found.c}_array"
        elif isinstance(found, Record):
            self.kind, self.type, self.ctype = "RECORD", found, f"struct {found.c}"
        else:
            self.kind, self.symbols, self.ctype = "ENUM", found, f"enum {found.c}"

    def initializer(self, value):
        """The member with the Avro default `value`, as a C initializer."""
        def fits(condition):
            need(condition, f"{self.where}: the default {json.dumps(value)} does not fit")

        if self.nullable:
            fits(value is None)  # Avro: a default is of the union's first branch
            return "{0}"
        if self.kind in ("STRING", "BYTES"):
            fits(isinstance(value, str) and "\0" not in value)  # avro-c takes no schema with a NUL
            if self.kind == "BYTES":
                fits(all(ord(c) < 256 for c in value))
                data = '"%s"' % "".join("\\%03o" % ord(c) for c in value)
                return "{%s, %d}" % (data, len(value))
            return "{%s, %d}" % (c_string(value), len(value.encode()))
        if self.kind in ("INT", "LONG"):
            bits = 31 if self.kind == "INT" else 63
            fits(type(value) is int and -(1 << bits) <= value < 1 << bits)
            return "INT64_MIN" if value == -(1 << 63) else f"{value}" if bits == 31 else f"INT64_C({value})"
        if self.kind == "DOUBLE":
            fits(type(value) in (int, float) and math.isfinite(value))
            return repr(float(value))
        if self.kind == "BOOLEAN":
            fits(type(value) is bool)
            return "true" if value else "false"
        if self.kind == "ENUM":
            fits(value in self.symbols.symbols)
            return self.symbols.constant(value)
        if self.kind == "RECORD":
            fits(isinstance(value, dict))
            inner = [f".{f.c} = " + f.initializer(value.get(f.name, f.default)) for f in self.type.fields]
            return "{%s}" % ", ".join(inner)
        fits(value == [])  # arrays
        return "{0}"

    def descriptor(self, struct):
        parts = [f".name = {c_string(self.name)}", f".kind = EVENT_{self.kind}",
                 f".offset = offsetof(struct {struct}, {self.c})", f".size = sizeof((({'struct ' + struct} *)0)->{self.c})"]
        if self.nullable:
            parts.append(".nullable = true")
        if self.symbols:
            parts.append(f".symbols = &{self.symbols.c}_enum")
        if self.type:
            parts.append(f".type = &{self.type.c}_type")
        if self.default is not MISSING:
            value = self.initializer(self.default)
            parts.append(f".fallback = &(const {self.ctype}){value if value[0] == '{' else '{' + value + '}'}")
        return "    {%s}," % ", ".join(parts)


class Record:
    def __init__(self, schema, types):
        self.name, self.doc, self.c = schema["name"], schema.get("doc"), snake(schema["name"])
        self.in_array = False
        need(schema.get("fields"), f"{self.name}: a record needs fields")
        self.fields = [Field(self.name, f, types) for f in schema["fields"]]
        names = [f.c for f in self.fields]
        need(len(set(names)) == len(names), f"{self.name}: two fields have the same name in C")
        self.schema = types.normalised(self.name)

    def declaration(self):
        out = f"/* {self.doc} */\n" if self.doc else ""
        out += f"struct {self.c} {{\n"
        for f in self.fields:
            comment = f" /* {f.doc} */" if f.doc else ""
            out += f"    {f.ctype} {f.c};{comment}\n"
        out += f"}};\nextern const struct event_type {self.c}_type;\n"
        if self.in_array:
            out += f"struct {self.c}_array {{\n    const struct {self.c} *items;\n    size_t count;\n}};\n"
        return out

    def definition(self):
        fields = "\n".join(f.descriptor(self.c) for f in self.fields)
        return (f"static const struct event_field {self.c}_fields[] = {{\n{fields}\n}};\n"
                f"const struct event_type {self.c}_type = {{\n    .name = {c_string(self.name)},\n"
                f"    .schema = {c_string(self.schema)},\n    .size = sizeof(struct {self.c}),\n"
                f"    .fields = {self.c}_fields,\n    .field_count = {len(self.fields)},\n}};\n")


class Types:
    """Every named type of the directory; `built` is in the order in which C needs them."""

    def __init__(self, directory):
        self.json, self.namespace, self.files, self.built, self.open = {}, {}, [], {}, []
        for path in sorted(directory.glob("*.avsc")):
            schema = load(path)
            need(isinstance(schema, dict) and schema.get("type") == "record", f"{path}: not a record")
            need(schema.get("name") == path.stem, f"{path}: holds the record {schema.get('name')}, not {path.stem}")
            self.files.append(path.stem)
            self.collect(schema, schema.get("namespace"), path)
        for name in self.files:
            self.use(name, name)

    def collect(self, schema, namespace, path):
        if isinstance(schema, list):
            for branch in schema:
                self.collect(branch, namespace, path)
        elif isinstance(schema, dict):
            if schema["type"] in ("record", "enum"):
                name = schema.get("name", "")
                need(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name), f"{path}: a bad name: {name!r}")
                need(name not in self.json, f"{path}: {name} is defined twice")
                self.json[name] = schema
                self.namespace[name] = namespace = schema.get("namespace", namespace)
            for field in schema.get("fields", []):
                self.collect(field["type"], namespace, path)
            if schema["type"] == "array":
                self.collect(schema["items"], namespace, path)

    def use(self, schema, where):
        name = schema["name"] if isinstance(schema, dict) and "name" in schema else schema
        need(isinstance(name, str) and name in self.json, f"{where}: no C mapping for, or no such type: {json.dumps(name)}")
        need(name not in self.open, f"{where}: {name} contains itself")
        if name not in self.built:
            self.open.append(name)
            definition = self.json[name]
            made = Enum(definition) if definition["type"] == "enum" else Record(definition, self)
            need(all(made.c != other.c for other in self.built.values()), f"{where}: {name} has the C name of another type")
            self.built[name] = made
            self.open.pop()
        return self.built[name]

    def normalised(self, name):
        """The schema with every named type spelled out at its first use, without docs."""
        return json.dumps(self.whole(name, {"doc"}), separators=(",", ":"))

    def whole(self, name, without=frozenset()):
        """The schema with every named type spelled out at its first use, without some attributes of records and fields."""
        seen = set()

        def walk(schema, namespace):
            if isinstance(schema, list):
                return [walk(s, namespace) for s in schema]
            if isinstance(schema, str):
                if schema not in self.json or schema in seen:
                    return schema
                schema = self.json[schema]
            out = {k: schema[k] for k in ("type", "name") if k in schema}
            if "name" in schema:
                seen.add(schema["name"])
                own = self.namespace[schema["name"]]
                if own != namespace:
                    out["namespace"] = namespace = own
            out.update((k, v) for k, v in schema.items() if k not in without | {"namespace"})
            if "items" in out:
                out["items"] = walk(out["items"], namespace)
            if "fields" in out:
                out["fields"] = [{k: walk(v, namespace) if k == "type" else v for k, v in f.items() if k not in without}
                                 for f in schema["fields"]]
            return out

        return walk(name, None)


class Topic:
    KEYS = {"name", "key", "value", "cleanup", "retention", "tombstones", "writers", "readers", "deadLetters",
            "partitions", "internal"}
    UNITS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

    def __init__(self, entry, types, services, path):
        name = entry.get("name", "")
        where = f"{path}: topic {name!r}"
        need(re.fullmatch(r"[a-z][a-z0-9._-]{0,200}", name), f"{where}: a bad name")
        need(not entry.keys() - self.KEYS, f"{where}: unknown {sorted(entry.keys() - self.KEYS)}")
        missing = self.KEYS - {"partitions", "internal"} - entry.keys()
        need(not missing, f"{where}: lacks {sorted(missing)}")
        need(entry["value"] in types.files, f"{where}: there is no {entry['value']}.avsc")
        need(entry["cleanup"] in ("delete", "compact"), f"{where}: cleanup is delete or compact")
        for role in ("writers", "readers"):
            for service in entry[role]:
                need(service in services, f"{where}: {role}: no service {service!r}")
        self.dead_letters = entry["deadLetters"]
        need(self.dead_letters is None or self.dead_letters in entry["readers"],
             f"{where}: deadLetters must be one of its readers, or null")
        for flag in ("tombstones", "internal"):
            need(type(entry.get(flag, False)) is bool, f"{where}: {flag} is true or false")
        self.partitions = entry.get("partitions", 0)
        need(type(self.partitions) is int and 0 <= self.partitions <= 1000, f"{where}: partitions: 0 to 1000")
        match = re.fullmatch(r"forever|([1-9][0-9]*)([smhd])", entry["retention"])
        need(match, f"{where}: retention is \"forever\" or a time like \"7d\"")
        self.retention = int(match[1]) * self.UNITS[match[2]] if match[1] else -1
        self.entry, self.name, self.c = entry, name, snake(name.replace(".", "_"))
        self.value = types.built[entry["value"]]

    def definition(self, index):
        def flag(key):
            return "true" if key else "false"

        def names(key):
            return "(const char *const[]){%s}" % ", ".join([c_string(s) for s in self.entry[key]] + ["NULL"])

        e = self.entry
        return (f"const struct topic topic_{self.c} = {{\n    .name = {c_string(self.name)},\n    .key = {c_string(e['key'])},\n"
                f"    .value = &{self.value.c}_type,\n    .number = {index},\n    .partitions = {self.partitions},\n"
                f"    .compacted = {flag(e['cleanup'] == 'compact')},\n    .tombstones = {flag(e['tombstones'])},\n"
                f"    .internal = {flag(e.get('internal'))},\n    .retention_ms = {self.retention},\n"
                f"    .dead_letters = {c_string(self.dead_letters) if self.dead_letters else 'NULL'},\n"
                f"    .writers = {names('writers')},\n    .readers = {names('readers')},\n}};\n")


def load(path):
    def once(pairs):
        need(len({k for k, _ in pairs}) == len(pairs), f"{path}: a key stands twice in {dict(pairs)}")
        return dict(pairs)

    try:
        return json.loads(path.read_text(), object_pairs_hook=once)
    except (OSError, ValueError) as e:
        raise Fail(f"{path}: {e}")


def load_topics(path, types):
    catalogue = load(path)
    need(isinstance(catalogue, dict) and catalogue.keys() == {"services", "topics"}, f"{path}: needs services and topics")
    topics = [Topic(entry, types, catalogue["services"], path) for entry in catalogue["topics"]]
    need(topics, f"{path}: no topics")
    for i, topic in enumerate(topics):
        need(all(topic.c != t.c for t in topics[:i]), f"{path}: topic {topic.name!r} stands twice, or has the C name of another")
    return topics


def header(types, topics):
    out = "/* Made by codegen.py of the schemas and the catalogue of topics: edit those. */\n#pragma once\n\n"
    out += '#include "events/topic.h"\n\n'
    out += "\n".join(t.declaration() for t in types.built.values()) + "\n"
    out += "".join(f"extern const struct topic topic_{t.c}; /* {t.name} */\n" for t in topics)
    return out + ("\n/* All of them, in the catalogue's order: topics[i]->number == i. NULL behind the last. */\n"
                  "extern const struct topic *const topics[];\nextern const size_t topics_count;\n")


def source(types, topics):
    out = '#include "schemas/schemas.gen.h"\n\n#include <stddef.h>\n\n'
    out += "\n".join(t.definition() for t in types.built.values()) + "\n"
    out += "\n".join(t.definition(i) for i, t in enumerate(topics))
    out += "\nconst struct topic *const topics[] = {\n" + "".join(f"    &topic_{t.c},\n" for t in topics) + "    NULL,\n};\n"
    return out + f"const size_t topics_count = {len(topics)};\n"


def main(directory, output):
    try:
        types = Types(Path(directory))
        topics = load_topics(Path(directory) / "topics.json", types)
        files = {"schemas.gen.h": header(types, topics), "schemas.gen.c": source(types, topics)}
    except Fail as e:
        sys.exit(f"codegen: {e}")
    except (KeyError, TypeError, AttributeError) as e:
        sys.exit(f"codegen: {directory}: malformed schema: {e!r}")
    Path(output).mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (Path(output) / name).write_text(text)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
