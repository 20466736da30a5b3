"""A collector of traces (OTLP/HTTP) that believes nothing: each request is read by the published definitions, and whatever they do not
have makes it a 400, as a collector would, and a line in `wrong`.

usage: collector.py PORT DIRECTORY

DIRECTORY/spans has a line of JSON for each span that it has taken. DIRECTORY/mode, read for each request, says what it does:
take (the default), 503, hang; DIRECTORY/asked has a line for each request: the mode.
"""

import base64
import http.server
import json
import pathlib
import sys
import threading
import time

from google.protobuf import json_format, unknown_fields
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

PORT, DIRECTORY = int(sys.argv[1]), pathlib.Path(sys.argv[2])
KINDS = {Span.SPAN_KIND_SERVER: "SERVER", Span.SPAN_KIND_PRODUCER: "PRODUCER", Span.SPAN_KIND_CONSUMER: "CONSUMER"}
LOCK = threading.Lock()


def check_known(message):
    unknown = unknown_fields.UnknownFieldSet(message)
    if len(unknown) > 0:
        raise ValueError(f"{message.DESCRIPTOR.name} has no field {unknown[0].field_number}")
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if isinstance(value, (list, tuple)) or hasattr(value, "__len__") else [value]:
                check_known(part)


def ids_of(j):
    """JSON has ids in hex where protobuf's mapping has base64."""
    if isinstance(j, list):
        return [ids_of(part) for part in j]
    if not isinstance(j, dict):
        return j
    return {k: base64.b64encode(bytes.fromhex(v)).decode() if k in ("traceId", "spanId", "parentSpanId") else ids_of(v) for k, v in j.items()}


def parse(content_type, body):
    request = ExportTraceServiceRequest()
    if content_type == "application/x-protobuf":
        request.ParseFromString(body)
    elif content_type == "application/json":
        json_format.Parse(json.dumps(ids_of(json.loads(body))), request)
    else:
        raise ValueError(f"content type {content_type}")
    check_known(request)
    return request


def value_of(any_value):
    kind = any_value.WhichOneof("value")
    if kind not in ("string_value", "int_value", "bool_value"):
        raise ValueError(f"a value is {kind}")
    return getattr(any_value, kind)


def attributes_of(message):
    attributes = {a.key: value_of(a.value) for a in message.attributes}
    if len(attributes) != len(message.attributes) or "" in attributes:
        raise ValueError(f"attributes twice, or without a name: {message.attributes}")
    return attributes


def id_of(data, size, may_lack=False):
    if may_lack and not data:
        return None
    if len(data) != size or not any(data):
        raise ValueError(f"no id of {size} bytes: {data!r}")
    return data.hex()


def context_of(message):
    return {"trace": id_of(message.trace_id, 16), "span": id_of(message.span_id, 8), "flags": message.flags}


def spans_of(request, headers, content_type):
    for resource_spans in request.resource_spans:
        resource = attributes_of(resource_spans.resource)
        for scope_spans in resource_spans.scope_spans:
            for s in scope_spans.spans:
                if not s.name or not 0 < s.start_time_unix_nano <= s.end_time_unix_nano or abs(s.end_time_unix_nano / 1e9 - time.time()) > 3600:
                    raise ValueError(f"no name, or no such times: {s}")
                yield context_of(s) | {
                    "parent": id_of(s.parent_span_id, 8, may_lack=True), "state": s.trace_state, "name": s.name, "kind": KINDS[s.kind],
                    "start": s.start_time_unix_nano, "end": s.end_time_unix_nano, "attributes": attributes_of(s), "resource": resource,
                    "links": [context_of(link) for link in s.links], "error": s.status.code == Status.STATUS_CODE_ERROR,
                    "message": s.status.message, "schema": scope_spans.schema_url, "headers": headers, "type": content_type}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        try:
            mode = (DIRECTORY / "mode").read_text()
        except FileNotFoundError:
            mode = "take"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with LOCK, open(DIRECTORY / "asked", "a") as f:
            f.write(mode + "\n")
        if mode == "hang":
            time.sleep(60)
            self.close_connection = True
            return
        content_type = self.headers["Content-Type"]
        status, answer = 200, ExportTraceServiceResponse()
        if mode == "503":
            status = 503
        else:
            try:
                if self.path != "/v1/traces":
                    raise ValueError(f"path {self.path}")
                spans = list(spans_of(parse(content_type, body), dict(self.headers), content_type))
                with LOCK, open(DIRECTORY / "spans", "a") as f:
                    f.writelines(json.dumps(s) + "\n" for s in spans)
            except Exception as e:  # whatever it is, it is the sender's fault
                status = 400
                with LOCK, open(DIRECTORY / "wrong", "a") as f:
                    f.write(f"{type(e).__name__}: {e}\n")
        data = answer.SerializeToString() if content_type == "application/x-protobuf" else b"{}"
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
