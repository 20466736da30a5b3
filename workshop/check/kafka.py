"""For the checks of exercises that run against a real Kafka: topics of their own, the learner's programs, and killing them.

A topic is called lab-EXERCISE-…; those of a check stay until the next one of that exercise, so that they can be looked at in the
lens. Waits are for conditions, and have an end."""

import os
import secrets
import select
import shutil
import signal
import subprocess
import time

WAIT = 60  # for what takes a second


class Wrong(Exception):
    """The verdict: its name and its text."""

    def __init__(self, name, text):
        super().__init__(name, text)


class Kafka:
    def __init__(self, checker, exercise, scratch):
        self.checker, self.exercise, self.scratch = checker, exercise, scratch
        self.brokers = os.environ.get("KAFKA_BROKERS", "localhost:9092")
        self.gateway = os.environ.get("GATEWAY_URL", "http://localhost:8000")
        self.programs, self.kept, self.args = [], None, ()

    def __enter__(self):
        if self.tool("forget", f"lab-{self.exercise}-", fails="no-kafka").returncode:
            raise Wrong("no-kafka", f"Kafka does not answer at {self.brokers}: ./demo up starts it.")
        return self

    def __exit__(self, *_):
        for p in self.programs:
            p.end()

    def tool(self, *args, lines=(), fails=None):
        done = subprocess.run([self.checker.build / "workshop_log", *map(str, args)], input="".join(f"{x}\n" for x in lines), text=True,
                              capture_output=True, env=os.environ | {"KAFKA_BROKERS": self.brokers}, timeout=60)
        if done.returncode and not fails:
            raise AssertionError(done.stderr)
        return done

    def topic(self, name="log", partitions=1):
        topic = f"lab-{self.exercise}-{name}-{secrets.token_hex(3)}"
        self.tool("create", topic, partitions)
        return topic

    def write(self, topic, records, end=None):
        """Records are (partition, key, value), None for: the key's, none, none."""
        self.tool("write", topic, *([end] if end else []),
                  lines=["\t".join("-" if part is None else str(part) for part in r) for r in records])

    def read(self, topic, uncommitted=False):
        """(partition, offset, key, value) of each record."""
        rows = self.tool("read", topic, *(["uncommitted"] if uncommitted else [])).stdout.splitlines()
        return [(int(p), int(o), key, value) for p, o, key, value in (row.split("\t") for row in rows)]

    def lens(self, topic, partition=0, offset=None):
        at = f"&offset={offset}" if offset is not None else ""
        return f"In the lens: {self.gateway}/lens?topic={topic}&partition={partition}{at}"

    def build(self, work, *sources):
        trouble = self.checker.compile([work / s for s in sources], self.scratch / "program", *self.checker.flags("log"))
        if trouble:
            raise Wrong(trouble.name, trouble.text)
        if self.checker.keeps_programs:
            self.kept = work / sources[0].removesuffix(".c")
            shutil.copyfile(self.scratch / "program", self.kept)
            self.kept.chmod(0o755)
        return self.scratch / "program"

    def by_hand(self):
        """How to run it oneself."""
        if self.kept is None:
            return ""
        return (f"\nTo run it yourself (its first lines say what it takes): "
                f"cd {self.kept.parent} && ./{self.kept.name} {self.brokers} {' '.join(map(str, self.args))}")

    def start(self, program, *args, cwd=None):
        self.args = args
        p = Program([str(program), self.brokers, *map(str, args)], cwd or self.scratch)
        self.programs.append(p)
        return p

    def run(self, program, *args, lines=(), seconds=WAIT, cwd=None):
        """To its end; its output."""
        self.args = args
        try:
            done = subprocess.run([str(program), self.brokers, *map(str, args)], input="".join(f"{x}\n" for x in lines), text=True,
                                  errors="replace", capture_output=True, cwd=cwd or self.scratch, timeout=seconds)
        except subprocess.TimeoutExpired as e:
            said = (e.stdout or b"").decode(errors="replace").strip().splitlines()
            raise Wrong("no-end", f"It did not come to an end within {seconds} seconds." +
                        (f" Its last line: {said[-1]}" if said else " It has said nothing.")) from e
        if done.returncode < 0:
            raise Wrong("crashes", f"It crashed: {signal.strsignal(-done.returncode)}.")
        if done.returncode:
            raise Wrong("stopped", f"It ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout


class Program:
    """A learner's program that works on records, one at a time: lab_work() of lab.h."""

    def __init__(self, command, cwd):
        self.process = subprocess.Popen(command, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.buffer = b""

    def working_on(self, seconds=WAIT):
        """What it says next that it works on; None: it ended. Wrong if it says nothing."""
        line = self.line(seconds)
        while line is not None and not line.startswith("working on "):
            line = self.line(seconds)
        return line and line.removeprefix("working on ")

    def line(self, seconds=WAIT):
        deadline = time.monotonic() + seconds
        while b"\n" not in self.buffer:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise Wrong("nothing-follows", f"For {seconds} seconds it has worked on nothing.")
            more = os.read(self.process.stdout.fileno(), 65536)
            if not more:
                return None
            self.buffer += more
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode(errors="replace")

    def quiet(self, seconds):
        """Does it say nothing for so long?"""
        return not self.buffer and not select.select([self.process.stdout], [], [], seconds)[0]

    def done(self):
        """With what it works on."""
        try:
            self.process.stdin.write(b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass

    def last_words(self):
        self.kill()
        return self.process.stderr.read().decode(errors="replace").strip() or f"with {self.process.returncode}, and says nothing"

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        self.kill()
        for f in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                f.close()
            except BrokenPipeError:
                pass


def verdict(check):
    """Makes check(kafka, work) an exercise's check(checker, work, scratch)."""
    def of(checker, work, scratch):
        name = check.__module__.removeprefix("check_").replace("_", "-")
        kafka = Kafka(checker, name, scratch)
        try:
            with kafka:
                return "passed", check(kafka, work) + kafka.by_hand()
        except Wrong as e:
            return e.args[0], e.args[1] + kafka.by_hand()
    return of
