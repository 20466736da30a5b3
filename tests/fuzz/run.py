"""Builds the targets of libFuzzer and runs them side by side, each for a number of runs and from the corpus that is kept
here. FUZZ_RUNS: in all, instead of the short form; then what was found to be new is kept in build/fuzz/corpus and
used the next time. FUZZ_TARGETS: only these of them. FUZZ_JOBS: processes at a time. Prints a line for each target;
fails where one has found something, and says with which input."""
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build" / "fuzz"

# Runs of the short form: what each does in some ten seconds.
TARGETS = {"http": 6_000, "routes": 6_000, "relay": 6_000, "registry": 6_000,
           "schema": 20_000, "wire": 100_000, "lens": 200_000, "vectors": 300_000}
LIMITS = ["-timeout=100", "-rss_limit_mb=768", "-malloc_limit_mb=64", "-max_len=4096"]


def can_build():
    with tempfile.TemporaryDirectory() as work:
        source = pathlib.Path(work) / "empty.c"
        source.write_text("int LLVMFuzzerTestOneInput(const char *data, unsigned long size) { return data && size ? 0 : -1; }")
        return shutil.which("clang") and subprocess.run(
            ["clang", "-fsanitize=fuzzer,address", source, "-o", source.with_suffix("")], capture_output=True).returncode == 0


def build():
    if not (BUILD / "build.ninja").exists():
        subprocess.run(["cmake", "--preset", "fuzz"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", "--preset", "fuzz", "--target", "fuzzers"], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL)


def run(target, runs, grown):
    crash = BUILD / "found" / (target + "-")
    crash.parent.mkdir(exist_ok=True)
    words = HERE / f"{target}.dict"
    command = [BUILD / "tests" / "fuzz" / f"fuzz_{target}", grown, HERE / "corpus" / target, f"-runs={runs}",
               "-print_final_stats=1", f"-artifact_prefix={crash}", *LIMITS]
    command += [f"-dict={words}"] if words.exists() else []
    command += [] if os.environ.get("FUZZ_RUNS") else ["-seed=1"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=BUILD)
    text = done.stdout.decode(errors="replace")

    def figure(pattern):
        found = re.findall(pattern, text)
        return int(found[-1]) if found else 0
    return target, done.returncode == 0, text, {
        "runs": figure(r"number_of_executed_units: *(\d+)"), "a second": figure(r"average_exec_per_sec: *(\d+)"),
        "covered": figure(r"cov: (\d+)"), "inputs": figure(r"corp: (\d+)"), "MB": figure(r"peak_rss_mb: *(\d+)")}


def main():
    if not can_build():
        print("skipped: there is no clang with libFuzzer (packages clang, libclang-rt-dev)")
        sys.exit(77)
    build()
    wanted = os.environ.get("FUZZ_RUNS")
    targets = {name: TARGETS[name] for name in os.environ.get("FUZZ_TARGETS", "").split()} or TARGETS
    scale = int(wanted) / sum(targets.values()) if wanted else 1
    total, failed = 0, []
    print(f"{'target':10}{'runs':>12}{'a second':>10}{'covered':>9}{'inputs':>8}{'MB':>6}", flush=True)
    with tempfile.TemporaryDirectory() as temporary, \
            concurrent.futures.ThreadPoolExecutor(int(os.environ.get("FUZZ_JOBS") or os.cpu_count())) as pool:
        parent = BUILD / "corpus" if wanted else pathlib.Path(temporary)
        for target in targets:
            (parent / target).mkdir(parents=True, exist_ok=True)
        jobs = [pool.submit(run, target, max(1, round(runs * scale)), parent / target) for target, runs in targets.items()]
        for job in concurrent.futures.as_completed(jobs):
            target, ok, text, figures = job.result()
            print(f"{target:10}{figures['runs']:12}{figures['a second']:10}{figures['covered']:9}{figures['inputs']:8}"
                  f"{figures['MB']:6}", flush=True)
            total += figures["runs"]
            if not ok:
                failed.append(target)
                print("\n".join(text.splitlines()[-60:]), flush=True)
    print(f"{total} runs in all")
    sys.exit(f"found by: {', '.join(failed)}; the inputs are in {BUILD / 'found'}" if failed else 0)


if __name__ == "__main__":
    main()
