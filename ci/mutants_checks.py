# SPDX-License-Identifier: GPL-2.0
"""What may kill a mutant: the checks, in the order in which they are asked.

A check is one command that must end with 0. It is asked only where it reaches the mutated statement (by gcov, in the
original program; what is never executed cannot make a difference). In an engine those come first that execute little of
the product.
"""
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import threading
from dataclasses import dataclass, field

from mutants_build import PRODUCT, MODULE, BuildError, run

ENGINES = ("unit", "scripts", "fuzz", "torture", "crash", "explore", "replay", "long")
# Those of ctest that take long: after all others, and asked about everything that is linked into them.
LONG = ("test_mikulas_random", "test_mikulas_cost", "test_mikulas_tree", "crash-totals")
# Tests of the simulated kernel, of trace readers and of the explorer, whose scenarios are asked.
NOT_OF_PRODUCT = ("test_shim_", "test_trace_", "test_explore_", "script-verbs-")
EXPLORE = "multisnap-explore"
SCHEDULES = 2000
MEMORY = 4 << 30
# A time-out is a multiple of what the original takes of the processor, and this much at least. The clock on the
# wall is for what waits for nothing: the machine may be busy.
TIMES, LEAST_S, WALL_TIMES = 10, 4, 30


@dataclass
class Check:
    engine: str
    name: str
    command: list               # with {PROGRAM} for programs of the build, and {tmp}
    reach: list = field(default_factory=list)   # in its place, to see which functions it reaches, about
    cpu_s: float = 0
    executed: int = 0           # lines of the product, each as often as it is
    lines: dict = field(default_factory=dict)   # file -> lines that it executes


def in_braces(build, word):
    """A path of the build becomes {PROGRAM}."""
    return "{" + os.path.relpath(word, build.dir) + "}" if word.startswith(build.dir + "/") else word


def of_ctest(build):
    tests = json.loads(run(["ctest", "--test-dir", build.dir, "--show-only=json-v1"]))["tests"]
    for test in tests:
        name = test["name"]
        if name.startswith(NOT_OF_PRODUCT) or "command" not in test:
            continue
        command = [in_braces(build, w) for w in test["command"]]
        if name in LONG:
            engine = "long"
        elif name.startswith("torture-"):
            engine = "torture"
        elif name.startswith("scenario-"):
            engine = "scripts"
        elif name.startswith("fuzz-"):      # the corpora
            engine = "fuzz"
        else:
            engine = "unit"
        yield Check(engine, name, command)


def all_checks(build):
    multisnap = "{multisnap}"
    out = list(of_ctest(build))
    for store in ("model", "mikulas"):
        out.append(Check("torture", f"torture-{store}-8", [multisnap, "torture", "--store", store, "--seeds", "1..8",
                                                           "--ops", "10000", "--jobs", "1"]))
    scripts = os.path.join(build.src, "tests", "crash")
    crash = [multisnap, "crash", "--workers", "1", "--no-shrink", "--output", "{tmp}/found.msnap"]
    out.append(Check("crash", "crash-bounded-2", [*crash, "--bounded", "L=2"]))
    for name in sorted(os.listdir(scripts)):
        if name.endswith(".msnap"):
            out.append(Check("crash", f"crash-{name[:-6]}", [*crash, os.path.join(scripts, name)]))
    out.append(Check("crash", "crash-seeds", [*crash, "--seeds", "1..10"]))
    out.append(Check("long", "crash-bounded-3", [*crash, "--bounded", "L=3"]))
    scripts = os.path.join(build.src, "tests", "explore")
    for name in sorted(os.listdir(scripts)):
        if name.endswith(".msnap"):
            command = ["{" + EXPLORE + "}", "--workers", "1", "--no-shrink", "--max-runs", str(SCHEDULES),
                       "--output", "{tmp}/found.schedule", os.path.join(scripts, name)]
            if name.startswith("crash-"):
                command.insert(1, "--crash")
            out.append(Check("explore", f"explore-{name[:-6]}", command,
                             [multisnap, "run", os.path.join(scripts, name)]))
    out.append(Check("replay", "replay-fsck", [os.path.join(build.src, "ci", "check-replay"), multisnap, "quick"]))
    return out


def program_in(word):
    return word[1:-1] if word.startswith("{") and word.endswith("}") else None


@dataclass
class Outcome:
    status: int
    timeout: bool
    cpu_s: float
    output: str


def play(command, tmp, cpu_limit_s=None, environment=None):
    """Runs a command to its end, or to its time-out."""
    def limits():
        if not command[0].endswith(EXPLORE):    # which has a heap of its own, of many addresses and a fixed size
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if cpu_limit_s:
            seconds = int(cpu_limit_s) + 1
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))

    os.makedirs(tmp, exist_ok=True)
    path = os.path.join(tmp, "output")
    with open(path, "wb") as out:
        p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=tmp,
                             preexec_fn=limits, start_new_session=True,
                             env={**os.environ, "TMPDIR": tmp, **(environment or {})})
        timer = None
        if cpu_limit_s:
            timer = threading.Timer(WALL_TIMES * cpu_limit_s, kill_group, [p.pid])
            timer.start()
        _, status, usage = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
        if timer:
            timer.cancel()
        kill_group(p.pid)
    cpu_s = usage.ru_utime + usage.ru_stime
    timeout = cpu_limit_s is not None and p.returncode in (-signal.SIGXCPU, -signal.SIGKILL)
    with open(path, "rb") as f:
        f.seek(max(0, os.path.getsize(path) - 2000))
        return Outcome(p.returncode, timeout, cpu_s, f.read().decode(errors="replace"))


def kill_group(pid):
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def expand(command, programs, tmp):
    return [programs(program_in(w)) if program_in(w) else w.replace("{tmp}", tmp) for w in command]


def gcov_lines(build, folder):
    """What the files of counts in that folder say: file -> line -> times."""
    out = {}
    counts = []
    for path, _, names in os.walk(folder):
        for name in names:
            m = MODULE.search(os.path.join(path, name[:-5] + ".o")) if name.endswith(".gcda") else None
            if m:
                full = os.path.join(path, name)
                notes = os.path.join(build.coverage, os.path.relpath(full, folder + build.coverage)[:-5] + ".gcno")
                shutil.copy(notes, full[:-5] + ".gcno")
                counts.append(full)
    if not counts:
        return out
    said = run(["gcov", "--json-format", "--stdout", *counts], cwd=folder)
    for line in said.splitlines():
        if not line.startswith("{"):
            continue
        for file in json.loads(line)["files"]:
            name = os.path.relpath(os.path.realpath(os.path.join(build.coverage, file["file"])), build.src)
            if name.split("/")[0] in PRODUCT:
                lines = out.setdefault(name, {})
                for entry in file["lines"]:
                    lines[entry["line_number"]] = lines.get(entry["line_number"], 0) + entry["count"]
    return out


def stamp(build, check):
    """Of all that a check is made of: its programs, and the files in its command."""
    total = hashlib.sha256()
    for word in [*check.command, *check.reach]:
        path = os.path.join(build.dir, program_in(word)) if program_in(word) else word
        total.update(word.encode() + b"\0")
        if os.path.isfile(path):
            with open(path, "rb") as f:
                total.update(hashlib.sha256(f.read()).digest())
    return total.hexdigest()[:20]


def measure(build, engines, say):
    """Checks of these engines with their cost and what they reach; and the lines that have code. Kept while the programs stay."""
    checks = [c for c in all_checks(build) if c.engine in engines]
    tmp = os.path.join(build.root, "measure")
    code = {}
    os.makedirs(os.path.join(build.root, "checks"), exist_ok=True)
    for number, check in enumerate(checks):
        kept = os.path.join(build.root, "checks", check.name + ".json")
        mark = stamp(build, check)
        entry = {}
        if os.path.exists(kept):
            with open(kept, encoding="utf-8") as f:
                entry = json.load(f)
        if entry.get("stamp") != mark:
            say(f"measuring {number + 1} of {len(checks)}: {check.name}")
            entry = {"stamp": mark, **measure_one(build, check, tmp)}
            with open(kept + ".new", "w", encoding="utf-8") as f:
                json.dump(entry, f)
            os.rename(kept + ".new", kept)
        check.cpu_s, check.executed = entry["cpu_s"], entry["executed"]
        check.lines = {file: set(lines) for file, lines in entry["lines"].items()}
        for file, lines in entry["code"].items():
            code.setdefault(file, set()).update(lines)
    asked = [c for c in checks if c.lines or c.engine == "long"]
    return sorted(asked, key=lambda c: (ENGINES.index(c.engine), c.executed, c.name)), code


def measure_one(build, check, tmp):
    shutil.rmtree(tmp, ignore_errors=True)
    counts = os.path.join(tmp, "counts")
    os.makedirs(counts)
    outcome = play(expand(check.command, lambda p: os.path.join(build.dir, p), tmp), tmp)
    if outcome.status:
        raise BuildError(f"{check.name} fails without any mutant: exit {outcome.status}\n{outcome.output}")
    command = expand(check.reach or check.command, lambda p: os.path.join(build.coverage, p), tmp)
    found = {}
    if check.engine != "long":
        play(command, tmp, environment={"GCOV_PREFIX": counts})
        found = gcov_lines(build, counts)
    executed = sum(n for lines in found.values() for n in lines.values())
    shutil.rmtree(tmp, ignore_errors=True)
    return {"cpu_s": round(outcome.cpu_s, 3), "executed": executed,
            "code": {file: sorted(lines) for file, lines in found.items()},
            "lines": {file: sorted(n for n, times in lines.items() if times) for file, lines in found.items()}}


def linked(build, check, file):
    """Is what that file is compiled to part of the check's program?"""
    objects = {m[0] for m in build.affected(file, False)}
    return any(objects & set(build.link_command(program_in(w))) for w in check.command if program_in(w))


def reaches(build, check, code, mutant):
    """Does the check execute the mutated statement? Where gcov knows no line of it: its function."""
    if check.engine == "long" or mutant.body == (0, 0):
        return linked(build, check, mutant.file)
    lines = check.lines.get(mutant.file, set())
    first, last = mutant.lines
    statement = set(range(first, last + 1))
    if check.reach or not statement & code.get(mutant.file, set()):
        statement = set(range(mutant.body[0], mutant.body[1] + 1))
    return bool(statement & lines)
