#!/usr/bin/python3
"""A mail server (Debian's aiosmtpd) that keeps what it accepts, and refuses what it is told to.

usage: mail_server.py PORT DIRECTORY [OPTIONS]

OPTIONS is JSON: {"utf8": false, "tls": [certificate, key], "password": "x"}: no SMTPUTF8; STARTTLS; who does not give the password,
in whichever way, may not send. DIRECTORY/mails has a line of JSON for each message that it has taken: from, to, message, tls (was it
encrypted), utf8 (was SMTPUTF8 asked for). DIRECTORY/rules, read for each command,
may say {"RCPT": {address: reply}, "DATA": reply, "die": true}: a reply is e.g. "550 no such user"; who dies does so when the
message is kept and before the client is told.
"""
import asyncio
import json
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Handler:
    def __init__(self, directory):
        self.directory = directory

    def rules(self):
        try:
            with open(f"{self.directory}/rules") as f:
                return json.load(f)
        except FileNotFoundError:
            return {}

    async def handle_RCPT(self, server, session, envelope, address, options):
        refusal = self.rules().get("RCPT", {}).get(address)
        if refusal is None:
            envelope.rcpt_tos.append(address)
        return refusal or "250 OK"

    async def handle_MAIL(self, server, session, envelope, address, options):
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        rules = self.rules()
        if rules.get("DATA"):
            return rules["DATA"]
        mail = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "message": envelope.content.decode("latin-1"),
                "tls": session.ssl is not None, "utf8": "SMTPUTF8" in (option.upper() for option in envelope.mail_options)}
        with open(f"{self.directory}/mails", "a") as f:
            f.write(json.dumps(mail) + "\n")
        if rules.get("die"):
            os._exit(1)
        return "250 OK"


def settings(options):
    chosen = {"enable_SMTPUTF8": options.get("utf8", True)}
    if "tls" in options:
        chosen["tls_context"] = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        chosen["tls_context"].load_cert_chain(*options["tls"])
    if "password" in options:
        right = options["password"].encode()
        chosen |= {"auth_required": True, "auth_require_tls": False,
                   "authenticator": lambda server, session, envelope, how, data: AuthResult(success=data.password == right)}
    return chosen


async def main(port, directory, options="{}"):
    handler, chosen = Handler(directory), settings(json.loads(options))
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(handler, **chosen), "127.0.0.1", int(port))
    async with server:
        await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
