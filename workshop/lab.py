"""The workshop's exercises: puts them into the learner's own directory, watches, checks, hints. `./demo lab` runs this.

usage: ./demo lab                 the exercises, and how far you are
       ./demo lab N               put exercise N (or its name) into your directory, and check it each time you save
       ./demo lab N --check       check it once: ends with 0 if it passes, with 1 if not yet
       ./demo lab N --hint        the next of three hints
       ./demo lab N --solution    what a solution does differently
       ./demo lab N --reset       begin again; what you had is kept beside it
       ./demo lab N --seed S      one schedule of the check, step by step

Environment: LAB_DIR, BUILD_DIR."""

import argparse
import dataclasses
import difflib
import importlib.util
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
EXERCISES = HERE / "exercises"
sys.path.insert(0, str(HERE / "check"))  # what check.py of an exercise uses
CHECK_SECONDS = 60  # longer than any check takes, on a slow machine

RED_IS_WHERE_ONE_BEGINS = """Each exercise begins red: something is missing, and that is where you begin. It is not a fault of the tool."""


@dataclasses.dataclass
class Verdict:
    name: str  # one word; "passed" if it is right
    text: str

    @property
    def passed(self):
        return self.name == "passed"


class Exercise:
    def __init__(self, directory):
        self.directory, self.name = directory, directory.name
        about = json.loads((directory / "exercise.json").read_text())
        self.number, self.title, self.part = about["number"], about["title"], about["part"]
        self.minutes, self.files, self.todo = about["minutes"], about["files"], about["do"]
        self.hints, self.gap = about["hints"], about["gap"]

    @property
    def needs_suite(self):
        return (self.directory / "check.py").exists()

    def solutions(self):
        return [self.directory / "solution" / f for f in self.files]


def exercises():
    return sorted((Exercise(f.parent) for f in EXERCISES.glob("*/exercise.json")), key=lambda x: x.number)


# ---- checking


class Checker:
    """Checks what is in a directory; `build` is the workshop's part of a build directory."""

    def __init__(self, build, keeps_programs=False):
        self.keeps_programs = keeps_programs  # beside their source, for who wants to run them
        self.build = pathlib.Path(build).resolve()

    def run(self, command, cwd, seconds=CHECK_SECONDS, env=None):
        return subprocess.run([str(c) for c in command], cwd=cwd, timeout=seconds, env=env, capture_output=True, text=True,
                              errors="replace", stdin=subprocess.DEVNULL)

    def flags(self, kind=None):
        return (self.build / (f"flags.{kind}" if kind else "flags")).read_text().split("\n")[:-1]

    def compile(self, sources, out, *flags, first=()):
        """None, or the verdict of one whom the compiler does not understand."""
        compiler, *includes = self.flags()
        done = self.run([compiler, "-std=gnu11", "-D_GNU_SOURCE", "-g", "-O1", "-Wall", "-Wextra", "-Wno-unused",
                         "-Werror=implicit-function-declaration", "-fdiagnostics-color=never", "-fPIC", *first, *includes,
                         "-o", out, *sources, *flags], sources[0].parent)
        if done.returncode:
            text = done.stderr.replace(f"{sources[0].parent}/", "")
            return Verdict("does-not-compile", "The compiler says:\n" + text.strip())
        return None

    def check(self, exercise, work, seed=None):
        with tempfile.TemporaryDirectory(prefix="lab-") as scratch:
            scratch = pathlib.Path(scratch)
            try:
                if exercise.needs_suite:
                    return self.check_with(exercise, work, scratch)
                return self.check_topology(exercise, work, scratch, seed)
            except subprocess.TimeoutExpired as e:
                return Verdict("no-end", f"It did not come to an end within {e.timeout:.0f} seconds. A loop that never ends?")

    def check_topology(self, exercise, work, scratch, seed):
        """In the simulated world: workshop/check."""
        trouble = self.compile([work / f for f in exercise.files], scratch / "it.so", "-shared", "-Wl,-z,norelro")
        if trouble:
            return trouble
        empty = scratch / "cwd"
        empty.mkdir()
        done = self.run([self.build / "workshop_check", exercise.name, scratch / "it.so",
                         *(["--seed", seed] if seed is not None else [])], empty)
        if seed is not None:
            return Verdict("passed" if done.returncode == 0 else "seed", done.stdout)
        if done.returncode not in (0, 1):
            return Verdict("crashes", "Your code crashed: " + (signal.strsignal(-done.returncode) if done.returncode < 0 else
                                                             done.stderr.strip()) + ".")
        name, _, text = done.stdout.partition("\n")
        return Verdict(name, text.strip())

    def check_with(self, exercise, work, scratch):
        """With the suite, mostly; by the exercise's own program: check(checker, work, scratch) gives the verdict's two parts."""
        name = f"check_{exercise.name}"
        spec = importlib.util.spec_from_file_location(name, exercise.directory / "check.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return Verdict(*module.check(self, work, scratch))


# ---- the learner's directory


class Lab:
    def __init__(self, directory, checker):
        self.directory, self.checker = pathlib.Path(directory), checker
        self.progress_file = self.directory / "progress.json"
        self.progress = json.loads(self.progress_file.read_text()) if self.progress_file.exists() else {}

    def remember(self, exercise, **what):
        self.progress.setdefault(exercise.name, {}).update(what)
        self.directory.mkdir(parents=True, exist_ok=True)
        new = self.progress_file.with_suffix(".new")
        new.write_text(json.dumps(self.progress, indent=1) + "\n")
        new.replace(self.progress_file)

    def work(self, exercise):
        return self.directory / exercise.name

    def put(self, exercise):
        """What is there already stays as it is."""
        work = self.work(exercise)
        work.mkdir(parents=True, exist_ok=True)
        for name in exercise.files:
            if not (work / name).exists():
                shutil.copyfile(exercise.directory / name, work / name)

    def state(self, exercise):
        if self.progress.get(exercise.name, {}).get("passed"):
            return "green"
        return "begun" if self.work(exercise).exists() else ""

    def check(self, exercise):
        verdict = self.checker.check(exercise, self.work(exercise))
        if verdict.passed:
            self.remember(exercise, passed=time.strftime("%Y-%m-%dT%H:%M:%S"))
        return verdict


COLOURS = {"red": "31", "green": "32", "bold": "1"}


def coloured(colour, text):
    return f"\033[{COLOURS[colour]}m{text}\033[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text


def show(verdict):
    print(coloured("green", "green") if verdict.passed else coloured("red", f"red · {verdict.name}"))
    print("  " + verdict.text.replace("\n", "\n  ") + "\n", flush=True)


def list_all(lab):
    print(f"Exercises; yours are in {lab.directory}. {RED_IS_WHERE_ONE_BEGINS}\n")
    for x in exercises():
        print(f"{x.number:3}  {lab.state(x):6} {x.minutes:3} min  part {x.part}  {x.name:16} {x.title}")
    print("\n./demo lab N begins one, or goes on with it. ./demo lab ready proves the machine.")


def begin(lab, x):
    lab.put(x)
    print(coloured("bold", f"{x.number}. {x.title}") + f" ({x.minutes} minutes)\n\n{x.todo}\n")
    print("Edit " + ", ".join(str(lab.work(x) / f) for f in x.files) + ". Each time you save, it is built and checked.")
    print(f"{RED_IS_WHERE_ONE_BEGINS} Stuck? ./demo lab {x.number} --hint, or --solution. Ctrl-C ends the watch.\n", flush=True)


def contents(lab, x):
    try:
        return [(lab.work(x) / f).read_bytes() for f in x.files]
    except FileNotFoundError:  # an editor that is replacing it
        return None


def watch(lab, x):
    begin(lab, x)
    seen = None
    while True:
        now = contents(lab, x)
        if now is None or now == seen:
            time.sleep(0.2)
            continue
        seen = now
        verdict = lab.check(x)
        print(time.strftime("%H:%M:%S  "), end="")
        show(verdict)
        if verdict.passed:
            later = [y for y in exercises() if y.number > x.number]
            print(f"What another solution looks like: ./demo lab {x.number} --solution." +
                  (f" Next: ./demo lab {later[0].number}, {later[0].title}." if later else " That was the last one."))
            return 0


def hint(lab, x):
    level = min(lab.progress.get(x.name, {}).get("hints", 0) + 1, len(x.hints))
    lab.remember(x, hints=level)
    for i, text in enumerate(x.hints[:level], 1):
        print(f"Hint {i} of {len(x.hints)}: {text}\n")
    print(f"More: ./demo lab {x.number} " + ("--hint" if level < len(x.hints) else "--solution"))
    return 0


def solution(lab, x):
    """As a difference to what the learner has."""
    lab.put(x)
    same = True
    for name, right in zip(x.files, x.solutions()):
        own = (lab.work(x) / name).read_text(errors="replace").splitlines(keepends=True)
        lines = list(difflib.unified_diff(own, right.read_text().splitlines(keepends=True), f"yours/{name}", f"solution/{name}"))
        sys.stdout.writelines(lines)
        same = same and not lines
    print("\nYours is the solution." if same else f"\n(All of it: {x.directory / 'solution'})")
    return 0


def reset(lab, x):
    for name in x.files:
        own = lab.work(x) / name
        if own.exists():
            own.replace(own.with_name(f"{name}.before"))
    lab.put(x)
    lab.remember(x, hints=0, passed=None)
    print(f"{x.name} is as it was at first; what you had is in {lab.work(x)}/*.before.")
    return 0


def ready(lab):
    """The machine can do all that the exercises need. What the network was needed for is here by now."""
    x = exercises()[0]
    for x in exercises():
        if (x.directory / "check.c").exists():
            break
    started = time.monotonic()
    gap = lab.checker.check(x, x.directory)
    took = time.monotonic() - started
    right = lab.checker.check(x, x.directory / "solution")
    if gap.name != x.gap or not right.passed:
        print(f"Not ready: exercise {x.number} is {gap.name}, its solution {right.name}:\n{right.text}")
        return 1
    try:
        lab.directory.mkdir(parents=True, exist_ok=True)
        (lab.directory / ".writable").touch()
        (lab.directory / ".writable").unlink()
    except OSError as e:
        print(f"Not ready: {lab.directory} cannot be written to ({e.strerror}): set LAB_DIR")
        return 1
    print(f"Ready: exercises compile and are checked (a first verdict in {took:.1f} s), yours will be in {lab.directory}.")
    return 0


def main():
    parser = argparse.ArgumentParser(prog="./demo lab", usage=__doc__.split("\n\n")[1].removeprefix("usage: "), add_help=True)
    parser.add_argument("which", nargs="?")
    how = parser.add_mutually_exclusive_group()
    for name in ("check", "hint", "solution", "reset"):
        how.add_argument(f"--{name}", action="store_true")
    how.add_argument("--seed", type=int)
    args = parser.parse_args()
    lab = Lab(os.environ["LAB_DIR"], Checker(os.path.join(os.environ["BUILD_DIR"], "workshop"), True))
    if args.which is None:
        if args.check or args.hint or args.solution or args.reset or args.seed is not None:
            parser.error("which exercise?")
        return list_all(lab)
    if args.which == "ready":
        return ready(lab)
    x = next((x for x in exercises() if args.which in (str(x.number), x.name)), None)
    if x is None:
        parser.error(f"there is no exercise {args.which}: ./demo lab lists them")
    if args.hint:
        return hint(lab, x)
    if args.solution:
        return solution(lab, x)
    if args.reset:
        return reset(lab, x)
    if args.check:
        lab.put(x)
        verdict = lab.check(x)
        show(verdict)
        return 0 if verdict.passed else 1
    if args.seed is not None:
        lab.put(x)
        verdict = lab.checker.check(x, lab.work(x), args.seed)
        print(verdict.text)
        return 0 if verdict.passed else 1
    return watch(lab, x)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nWhat you have stays where it is.")
        sys.exit(130)
