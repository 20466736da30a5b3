"""What the workshop tells people to type works as it says: each block of commands of each page runs, and prints what stands
beside it.

    ```sh            runs in the repository's root; it must succeed
    ```sh until      again and again, for two minutes at the most, until it prints what it should
    ```output        what it prints, on both streams: … stands for anything within a line, and on a line of its own for any
                     number of lines

The ports in the text are those of a suite with the settings' defaults. A page leaves the suite as it found it, so that none
depends on another; a block that fails does not keep the next ones from running.
"""

import re
import shutil
import subprocess
import time
import urllib.parse

from suite import ROOT, SERVICES, SuiteTest, wait_until

PAGES = sorted((ROOT / "workshop").glob("[0-9]*.md"))
PARTS = [page for page in PAGES if page.name != "08-teacher.md"]
DEFAULTS = dict(re.findall(r"(?m)^(\w*PORT)=(\d+)$", (ROOT / "compose/.env").read_text()))
BLOCK = re.compile(r"(?ms)^```(sh(?: until)?)\n(.*?)^```$(?:\s*^```output\n(.*?)^```$)?")
TITLE = re.compile(r"\A# (.+?) \*\((\d+) minutes\)\*\n")
PATIENCE = 600  # seconds, for one block


def pattern_of(expected):
    """Whole lines, where … alone is any number of lines."""
    lines = [r"(?:.*\n)*?" if line.strip() == "…" else ".*".join(map(re.escape, line.rstrip().split("…"))) + r"[ \t]*\n"
             for line in expected.splitlines()]
    return re.compile("".join(lines))


class Conventions(SuiteTest):
    """Of this file, and of what stands around the blocks."""

    @classmethod
    def setUpClass(cls):
        pass  # without a suite

    def test_an_output_is_compared(self):
        for expected, said, same in (("a\n", "a\n", True), ("a\n", "b\n", False), ("a\n", "a\nb\n", False), ("a\n…\nd\n", "a\nb\nc\nd\n", True),
                                     ("a\n…\n", "a\n", True), ("n…\n", "n 5\n", True), ("n…m\n", "n\nm\n", False), ("a.b\n", "a-b\n", False)):
            with self.subTest(expected):
                self.assertEqual(pattern_of(expected).fullmatch(said) is not None, same, said)

    def test_the_minutes_are_half_a_day(self):
        minutes = 0
        index = (ROOT / "workshop/README.md").read_text()
        for page in PARTS:
            title = TITLE.match(page.read_text())
            self.assertIsNotNone(title, f"{page.name}: its first line is no '# Title *(N minutes)*'")
            self.assertIn(f"| [{title[1]}]({page.name}) |", index)
            minutes += int(title[2])
        self.assertLessEqual(minutes, 240)


class Pages(SuiteTest):
    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(f"{cls.suite.data}-lab", ignore_errors=True)

    def local(self, text):
        """The same with this suite's ports."""
        ports = {told: self.suite.ports[name] for name, told in DEFAULTS.items()}
        first = int(DEFAULTS["SERVICE_PORT"])
        ports |= {str(first + n): self.suite.ports["SERVICE_PORT"] + n for n in range(10 * len(SERVICES))}
        return re.sub(r"(localhost:|127\.0\.0\.1:|-p )(\d+)\b", lambda m: m[1] + str(ports.get(m[2], m[2])), text)

    def run_once(self, command):
        env = self.suite.env | {"LAB_DIR": f"{self.suite.data}-lab"}
        done = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", self.local(command)], cwd=ROOT, env=env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=PATIENCE)
        said = done.stdout if not done.stdout or done.stdout.endswith("\n") else done.stdout + "\n"
        return done.returncode, said

    def run_block(self, kind, command, expected):
        deadline = time.monotonic() + (120 if kind == "sh until" else 0)
        while True:
            code, said = self.run_once(command)
            right = code == 0 and (not expected or pattern_of(self.local(expected)).fullmatch(said))
            if right or time.monotonic() > deadline:
                break
        self.assertTrue(right, f"exit {code}\n$ {command}\nexpected:\n{expected}\nsaid:\n{said}")

    def run_page(self, page):
        blocks = BLOCK.findall(page.read_text())
        self.assertEqual(len(blocks), len(re.findall(r"(?m)^```sh\b", page.read_text())), "a block that would not run")
        for kind, command, expected in blocks:
            with self.subTest(page=page.name, block=command.splitlines()[0]):
                since = time.monotonic()
                self.run_block(kind, command, expected)
                print(f"    {time.monotonic() - since:5.1f} s  {command.splitlines()[0][:90]}", flush=True)
        wait_until(lambda: all(p["state"] == "ready" for p in self.suite.status()), 120, "all is ready again after the page")

    def test_every_page_is_served_with_what_it_links_to(self):
        """From the gateway, nothing from elsewhere."""
        asked, left = set(), ["/workshop"]
        while left:
            path = left.pop()
            answer = self.suite.http("GET", path)
            self.assertEqual((answer.status, answer.type), (200, "text/html"), path)
            text = answer.body.decode()
            asked.add(path)
            for link in re.findall(r'href="(/workshop(?:[/#?][^"]*)?)"', text):
                to = urllib.parse.urlsplit(link)
                if to.fragment:
                    there = text if to.path == path else self.suite.http("GET", to.path).body.decode()
                    self.assertIn(f'id="{to.fragment}"', there, f"{path}: {link}")
                if to.path not in asked and to.path not in left:
                    left.append(to.path)
            self.assertEqual(re.findall(r'(?:src|<link[^>]* href)="(https?:[^"]*)"', text), [], path)
        self.assertTrue({f"/workshop/{page.stem}" for page in PAGES} <= asked)


for a_page in PAGES:
    setattr(Pages, f"test_{a_page.stem.replace('-', '_')}", lambda self, page=a_page: self.run_page(page))
