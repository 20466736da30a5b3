"""What can happen to a suite, each as a function of (world, chance) that does it, waits for as long as it lasts, and returns from when on,
of time.monotonic(), the suite has to recover by itself. A docstring is the line of the report."""

import contextlib
import os
import pathlib
import random
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

from proxy import Proxy
from suite import SERVICES, is_open, wait_until

SESSION = 6  # seconds after which a silent member of a group is dead to others
PAUSE = SESSION + 4


class World:
    """The suite as faults see it."""

    def __init__(self, suite, instances):
        self.suite, self.instances = suite, instances
        self.notes, self.after = [], []  # of a round: what was done to whom; what is done at its end

    def note(self, text):
        self.notes.append(text)
        print(f"    {text}", flush=True)

    def processes(self, services=SERVICES):
        return [(service, n) for service in services for n in range(self.instances.get(service, 1))]

    def several(self):
        return [service for service in SERVICES if self.instances.get(service, 1) > 1]

    def pid(self, name, instance=0):
        return wait_until(lambda: self.suite.pid(name, instance), 30, f"{name}-{instance} runs")

    def kill(self, name, instance=0):
        """Returns when; the supervisor starts it again."""
        pid = self.pid(name, instance)
        self.note(f"kill -9 {name}-{instance}")
        os.kill(pid, signal.SIGKILL)
        return time.monotonic()

    def restarted(self, name, instance, before):
        """Itself, and not the script that the supervisor runs behind its end."""
        stat = pathlib.Path(self.suite.data, "run", f"{name}-{instance}", "supervise/stat")
        wait_until(lambda: stat.read_text().startswith("run") and self.suite.pid(name, instance) not in (None, before), 30,
                   f"{name}-{instance} is started again")

    def directory(self, service, instance):
        return pathlib.Path(self.suite.data, "views", f"{service}-{instance}")

    def held_down(self, service, instance):
        return HeldDown(self, service, instance)


class HeldDown:
    """Killed, and not started again before the end."""

    def __init__(self, world, service, instance):
        self.world, self.service, self.instance = world, service, instance

    def __enter__(self):
        pid = self.world.pid(self.service, self.instance)
        self.supervisor = parent_of(pid)
        os.kill(self.supervisor, signal.SIGSTOP)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: is_dead(pid), 30, f"{self.service} is dead")

    def __exit__(self, *_):
        os.kill(self.supervisor, signal.SIGCONT)


def parent_of(pid):
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def is_dead(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except OSError:
        return True


# ---- processes ----

def kill_service(w, chance):
    """kill -9 of one service"""
    return w.kill(*chance.choice(w.processes()))


def kill_two(w, chance):
    """kill -9 of two services at once"""
    first, second = chance.sample(w.processes(), 2)
    w.kill(*first)
    return w.kill(*second)


def kill_instances(w, chance):
    """kill -9 of all instances of a service at once"""
    service = chance.choice(w.several())
    return [w.kill(service, n) for n in range(w.instances[service])][-1]


def kill_over_and_over(w, chance):
    """kill -9 of one service, and again as soon as it runs"""
    service, instance = chance.choice(w.processes())
    for _ in range(3):
        before = w.pid(service, instance)
        since = w.kill(service, instance)
        w.restarted(service, instance, before)
    return since


def takeover(w, chance):
    """an instance is dead and stays so: others take over"""
    service = chance.choice(w.several())
    instance = chance.randrange(w.instances[service])
    held = w.held_down(service, instance)
    held.__enter__()
    w.note(f"{service}-{instance} is dead")
    w.after.append(held.__exit__)
    return time.monotonic()


def zombie(w, chance):
    """SIGSTOP beyond the session, SIGCONT"""
    service, instance = chance.choice(w.processes())
    pid = w.pid(service, instance)
    w.note(f"SIGSTOP {service}-{instance} for {PAUSE} s")
    os.kill(pid, signal.SIGSTOP)
    time.sleep(PAUSE)
    os.kill(pid, signal.SIGCONT)
    return time.monotonic()


def hiccup(w, chance):
    """SIGSTOP for less than a session, SIGCONT"""
    service, instance = chance.choice(w.processes())
    pid = w.pid(service, instance)
    seconds = chance.uniform(0.2, SESSION - 2)
    w.note(f"SIGSTOP {service}-{instance} for {seconds:.1f} s")
    os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(pid, signal.SIGCONT)
    return time.monotonic()


def restart_service(w, chance):
    """SIGTERM of one service, which starts again"""
    service, instance = chance.choice(w.processes())
    before = w.pid(service, instance)
    w.note(f"SIGTERM {service}-{instance}")
    os.kill(before, signal.SIGTERM)
    w.restarted(service, instance, before)
    return time.monotonic()


# ---- what the services need ----

def kill_kafka(w, chance):
    """kill -9 of Kafka; counted from its return"""
    before = w.pid("kafka")
    w.kill("kafka")
    w.restarted("kafka", 0, before)
    wait_until(lambda: is_open(w.suite.ports["KAFKA_PORT"]), 120, "Kafka is back")
    return time.monotonic()


def kill_infrastructure(w, chance):
    """kill -9 of registry, Connect, PostgreSQL or gateway"""
    return w.kill(chance.choice(["registry", "connect", "postgres", "gateway"]))


def kill_infrastructure_and_service(w, chance):
    """kill -9 of registry or gateway and a service at once"""
    w.kill(chance.choice(["registry", "gateway"]))
    return w.kill(*chance.choice(w.processes()))


def outage(name, seconds):
    def fault(w, chance):
        w.note(f"{name} is away for {seconds} s")
        w.suite.demo("stop", name, timeout=60)
        time.sleep(seconds)
        w.suite.demo("start", name, timeout=180)
        return time.monotonic()
    fault.__name__ = f"outage_{name}"
    fault.__doc__ = f"{name} is away for {seconds} s; counted from its return"
    return fault


# ---- views ----

def files_of(directory):
    return sorted(path for path in directory.rglob("*") if path.is_file() and path.stat().st_size > 0)


def one_of(chance, files):
    """Any, but mostly one that RocksDB reads."""
    read = [path for path in files if not path.name.startswith(("LOG", "OPTIONS"))]
    return chance.choice(read if read and chance.random() < 0.8 else files)


def damage(w, chance, what, how):
    service, instance = chance.choice(w.processes())
    with w.held_down(service, instance):
        directory = w.directory(service, instance)
        files = files_of(directory) if directory.exists() else []
        if files:
            w.note(f"{service}-{instance}: {what} {how(chance, files)}")
        else:
            w.note(f"{service}-{instance}: has no files")
    return time.monotonic()


def view_deleted(w, chance):
    """kill -9, and the views' directory is gone"""
    def delete(_, files):
        directory = files[0].parents[len(files[0].relative_to(w.suite.data).parts) - 3]
        shutil.rmtree(directory)
        return directory.name
    return damage(w, chance, "deleted", delete)


def view_truncated(w, chance):
    """kill -9, and a file of a view ends at any byte"""
    def truncate(chance, files):
        path = one_of(chance, files)
        size = chance.randrange(path.stat().st_size)
        os.truncate(path, size)
        return f"{path.relative_to(w.suite.data)} at {size}"
    return damage(w, chance, "truncated", truncate)


def view_bit_flipped(w, chance):
    """kill -9, and a bit in a file of a view is another"""
    def flip(chance, files):
        path = one_of(chance, files)
        bit = chance.randrange(path.stat().st_size * 8)
        with open(path, "r+b") as file:
            file.seek(bit // 8)
            byte = file.read(1)[0]
            file.seek(bit // 8)
            file.write(bytes([byte ^ 1 << bit % 8]))
        return f"{path.relative_to(w.suite.data)}, bit {bit}"
    return damage(w, chance, "flipped", flip)


# ---- what a process is started with ----

class Started:
    """A service's process runs with something in its environment, from a restart to a restart."""

    def __init__(self, world, service, instance, **environment):
        self.world, self.service, self.instance = world, service, instance
        self.script = pathlib.Path(world.suite.data, "run", f"{service}-{instance}", "run")
        self.before = self.script.read_text()
        words = " ".join(f"{name}={value}" for name, value in environment.items())
        with world.held_down(service, instance):
            self.script.write_text(self.before.replace("exec chpst", f"exec env {words} chpst"))
        world.after.append(self.end)
        self.ready()

    def ready(self):
        wait_until(lambda: self.world.suite.is_ready(self.service, self.instance), 60, f"{self.service}-{self.instance} is ready")

    def end(self):
        with self.world.held_down(self.service, self.instance):
            self.script.write_text(self.before)


def preload(world):
    """The library, where every process may read it."""
    copy = pathlib.Path(world.suite.data, "programs", "faults_preload.so")
    if not copy.exists():
        shutil.copy(os.environ.get("FAULTS_PRELOAD", world.suite.build / "tests/faults_preload.so"), copy)
        copy.chmod(0o755)
    return copy


def through_proxy(w, chance):
    proxy = Proxy(w.suite.ports["KAFKA_PORT"])
    w.after.append(proxy.close)
    service, instance = chance.choice(w.processes())
    Started(w, service, instance, LD_PRELOAD=preload(w), CONNECT_FROM=w.suite.ports["KAFKA_PORT"], CONNECT_VIA=proxy.port)
    wait_until(lambda: proxy.sockets, 30, "the service's connections go through the proxy")
    return proxy, f"{service}-{instance}"


def connections_cut(w, chance):
    """connections between a service and Kafka are cut, over and over"""
    proxy, name = through_proxy(w, chance)
    for _ in range(chance.randint(1, 5)):
        w.note(f"{name}: {len(proxy.sockets)} sockets cut")
        proxy.refuses = chance.random() < 0.5
        proxy.cut()
        time.sleep(chance.uniform(0, 1))
        proxy.refuses = False
    return time.monotonic()


def connections_slow(w, chance):
    """what passes between a service and Kafka takes up to 300 ms longer"""
    proxy, name = through_proxy(w, chance)
    proxy.delay = chance.uniform(0.05, 0.3)
    w.note(f"{name}: {proxy.delay * 1000:.0f} ms longer")
    time.sleep(PAUSE)
    proxy.delay = 0
    return time.monotonic()


def connections_silent(w, chance):
    """nothing passes between a service and Kafka, beyond the session; then all of it"""
    proxy, name = through_proxy(w, chance)
    w.note(f"{name}: silence")
    proxy.silent = True
    time.sleep(PAUSE)
    proxy.silent = False
    return time.monotonic()


def clock_stepped(w, chance):
    """the clock of one service is set an hour forward, or back; and right again at the end"""
    hours = chance.choice([-1, 1])
    clock = pathlib.Path(w.suite.data, "programs", "clock")
    clock.write_bytes(struct.pack("q", 0))
    clock.chmod(0o644)

    def step(seconds):
        with open(clock, "r+b") as file:
            file.write(struct.pack("q", seconds))
    service, instance = chance.choice(w.processes())
    Started(w, service, instance, LD_PRELOAD=preload(w), CLOCK_FILE=clock)
    w.note(f"{service}-{instance}: its clock goes {hours:+} h")
    step(hours * 3600)
    w.after.insert(0, lambda: step(0))  # another step, in the middle of its work
    return time.monotonic()


def twin(w, chance):
    """a second process with the same identity, elsewhere"""
    service, instance = chance.choice(w.processes())
    environment = dict(entry.split("=", 1) for entry in
                       pathlib.Path(f"/proc/{w.pid(service, instance)}/environ").read_text().split("\0") if "=" in entry)
    program = pathlib.Path(f"/proc/{w.pid(service, instance)}/exe").resolve()
    with tempfile.TemporaryDirectory() as data, open(os.path.join(data, "log"), "w") as log:
        with socket.create_server(("127.0.0.1", 0)) as s:
            environment |= {"DATA_DIR": data, "PORT": str(s.getsockname()[1])}
        process = subprocess.Popen([program], env=environment, stdout=log, stderr=log, cwd=data)
        try:
            w.note(f"{service}-{instance}: a twin for {PAUSE} s")
            with contextlib.suppress(subprocess.TimeoutExpired):
                w.note(f"the twin ends with {process.wait(PAUSE)}")
        finally:
            process.kill()
            process.wait()
    return time.monotonic()


# ---- instances, topics, disks ----

def scaled(w, chance):
    """three instances of a service, and as many as before again"""
    service = chance.choice(SERVICES)
    w.note(f"three of {service}, and back")
    w.suite.demo("scale", service, 3)
    w.suite.demo("scale", service, w.instances.get(service, 1))
    return time.monotonic()


def topic_made_anew(w, chance):
    """a topic that nothing hangs on (clickstream, positions) is deleted and made anew"""
    topic = chance.choice(["clickstream", "rider-positions", "driver-positions"])
    w.note(f"{topic} is deleted")
    w.suite.logtool("delete", topic)
    subprocess.run([w.suite.build / "schemas/topics", "create"], env=w.suite.tool_env() | {"PARTITIONS": "4"}, check=True, capture_output=True)
    return time.monotonic()


class SmallDisk:
    """A directory lies on a file system of its own with so much room, whose user runs meanwhile held down."""

    def __init__(self, directory, room):
        if os.geteuid() != 0:
            raise Skipped("only root can mount")
        self.directory, self.filler = pathlib.Path(directory), pathlib.Path(directory, "filler")
        aside = self.directory.with_name(self.directory.name + ".aside")
        state = self.directory.stat()
        self.directory.rename(aside)
        self.directory.mkdir()
        used = int(subprocess.run(["du", "-sm", aside], check=True, capture_output=True, text=True).stdout.split()[0])
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={used + room}m,mode=755", "none", self.directory]).returncode != 0:
            self.directory.rmdir()
            aside.rename(self.directory)
            raise Skipped("nothing can be mounted here")
        subprocess.run(["cp", "-a", "--sparse=always", f"{aside}/.", self.directory], check=True)
        os.chown(self.directory, state.st_uid, state.st_gid)
        shutil.rmtree(aside)

    def fill(self):
        with contextlib.suppress(OSError), open(self.filler, "wb", buffering=0) as file:
            while True:
                file.write(bytes(65536))

    def free(self):
        self.filler.unlink(missing_ok=True)

    def end(self):
        """Back where it was; who uses it must not run."""
        aside = self.directory.with_name(self.directory.name + ".aside")
        subprocess.run(["cp", "-a", "--sparse=always", self.directory, aside], check=True)
        subprocess.run(["umount", self.directory], check=True)
        self.directory.rmdir()
        aside.rename(self.directory)


def view_disk_full(w, chance):
    """the disk of a service's views is full, also at a restart; counted from when it has room again"""
    service, instance = chance.choice([p for p in w.processes() if w.directory(*p).exists()])
    with w.held_down(service, instance):
        disk = SmallDisk(w.directory(service, instance), 8)

    def end():
        with w.held_down(service, instance):
            disk.end()
    w.after.append(end)
    w.note(f"{service}-{instance}: its disk is full for {PAUSE} s")
    disk.fill()
    time.sleep(PAUSE / 2)
    disk.fill()
    w.kill(service, instance)
    time.sleep(PAUSE / 2)
    disk.free()
    return time.monotonic()


def log_disk_full(w, chance):
    """Kafka's disk is full; counted from when it has room again and Kafka is back"""
    port = w.suite.ports["KAFKA_PORT"]
    with w.held_down("kafka", 0):
        disk = SmallDisk(pathlib.Path(w.suite.data, "kafka"), 64)

    def end():
        with w.held_down("kafka", 0):
            disk.end()
        wait_until(lambda: is_open(port), 120, "Kafka is back")
    w.after.append(end)
    wait_until(lambda: is_open(port), 120, "Kafka is back")
    w.note(f"Kafka's disk is full for {PAUSE} s")
    disk.fill()
    time.sleep(PAUSE)
    disk.free()
    wait_until(lambda: is_open(port), 120, "Kafka is back")
    return time.monotonic()


class Skipped(Exception):
    """This machine cannot do it."""


SHORT = [kill_service, kill_service, kill_two, kill_instances, view_deleted, view_truncated, view_bit_flipped, hiccup, zombie, kill_kafka]
LONG = SHORT + [kill_service] * 4 + [
    kill_over_and_over, restart_service, takeover, kill_infrastructure, kill_infrastructure, kill_infrastructure_and_service, view_bit_flipped,
    view_truncated, connections_cut, connections_slow, connections_silent, clock_stepped, twin, scaled, topic_made_anew, view_disk_full,
    log_disk_full]
OUTAGES = [outage(name, 70) for name in ("kafka", "registry", "connect", "postgres", "gateway")]
KINDS = {fault.__name__: fault for fault in LONG + OUTAGES}


def plan(rounds, seed, long, only):
    """The faults of a run, in an order of the seed: each as often as it stands in a list, and an outage of each kind in a hundred rounds."""
    chance = random.Random(seed)
    kinds = [KINDS[name] for name in only] if only else LONG if long else SHORT
    planned = []
    while len(planned) < rounds:
        planned += chance.sample(kinds, len(kinds))
    if long and not only:
        for n in range(0, rounds, 20):
            planned[chance.randrange(n, min(n + 20, rounds))] = OUTAGES[n // 20 % len(OUTAGES)]
    return planned[:rounds]
