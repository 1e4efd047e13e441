#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The tables of ci/kernel-bench, in Markdown, from the lines that guest.py has written.

    report.py RESULTS [--json]

Speeds are medians over the rounds. A ratio is the median of the rounds' own ratios: each is of two runs that
followed each other, so that what the machine does meanwhile is in both. Counts are medians, too; they hardly differ.
"""
import collections
import json
import statistics
import sys

KIB, MIB = 1 << 10, 1 << 20
SECTOR = 512
OTHERS = ("linear", "snapshot", "thin")
TITLES = {"linear": "dm-linear", "snapshot": "dm-snapshot", "thin": "dm-thin", "multisnap": "multisnapshot"}


def speed(line):
    return line["bytes"] / line["seconds"]


def count(line, field):
    return sum(line[disk][field] for disk in ("origin", "store"))


def requests(line):
    return (count(line, "reads") + count(line, "writes")) / line["ios"]


def bytes_written(line):
    return count(line, "write_sectors") * SECTOR / line["bytes"]


def bytes_moved(line):
    return (count(line, "read_sectors") + count(line, "write_sectors")) * SECTOR / line["bytes"]


def flushes(line):
    return count(line, "flushes") / line["ios"]


class Row:
    """A job in a cell in a phase: lines of all rounds by target."""

    def __init__(self, key):
        self.snapshots, self.chunk, self.job, self.phase = key
        self.lines = collections.defaultdict(dict)

    def median(self, target, figure):
        lines = self.lines.get(target)
        return statistics.median(figure(line) for line in lines.values()) if lines else None

    def ratios(self, target, figure=speed):
        """Of ours to the target's, one for each round."""
        ours, theirs = self.lines.get("multisnap", {}), self.lines.get(target, {})
        return [figure(ours[n]) / figure(theirs[n]) for n in ours if n in theirs and figure(theirs[n])]

    def ratio(self, target, figure=speed):
        ratios = self.ratios(target, figure)
        return statistics.median(ratios) if ratios else None

    def best_ratio(self, target):
        """Of the fastest runs: what disturbs makes a run slower, never faster."""
        fastest = [max(map(speed, self.lines[t].values())) for t in ("multisnap", target)]
        return fastest[0] / fastest[1]

    def name(self):
        return f"{self.snapshots} | {self.chunk // KIB} KiB | {self.job}"


def read(path):
    rows = {}
    with open(path, encoding="utf-8") as f:
        for text in f:
            line = json.loads(text)
            key = line["snapshots"], line["chunk"], line["job"], line["phase"]
            rows.setdefault(key, Row(key)).lines[line["target"]][line["round"]] = line
    return [rows[key] for key in sorted(rows, key=lambda k: (k[3], k[0], k[1], k[2]))]


def show_speed(row, target):
    v = row.median(target, speed)
    if v is None:
        return ""
    if row.job.startswith("seq"):
        return f"{v / MIB:.0f} MiB/s"
    return f"{v / (4 * KIB) / 1000:.1f} k/s"


def show(value, form="{:.2f}"):
    return "" if value is None else form.format(value)


def show_ratio(row, target):
    ratios = row.ratios(target)
    if not ratios:
        return ""
    return f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f}-{max(ratios):.2f})"


def table(head, lines):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * 3 + "---:|" * (len(head) - 3))
    for line in lines:
        print("| " + " | ".join(line) + " |")
    print()


def speeds(rows, phase, title):
    print(f"### {title}\n")
    table(["snapshots", "chunk", "job", *(TITLES[t] for t in (*OTHERS, "multisnap")),
           *(f"÷ {TITLES[t]}" for t in OTHERS)],
          [[row.name(), *(show_speed(row, t) for t in (*OTHERS, "multisnap")), *(show_ratio(row, t) for t in OTHERS)]
           for row in rows if row.phase == phase])


def counts(rows, phase, title):
    print(f"### {title}\n")
    names = ("snapshot", "thin", "multisnap")
    lines = []
    for row in rows:
        if row.phase != phase or not row.snapshots:
            continue
        cells = [row.name()]
        for figure, form in ((requests, "{:.2f}"), (bytes_moved, "{:.2f}"), (flushes, "{:.3f}")):
            cells.append(" / ".join(show(row.median(t, figure), form) or "-" for t in names))
        lines.append(cells)
    table(["snapshots", "chunk", "job", "requests for each write", "bytes moved for each byte written",
           "flushes for each write"], lines)


def snapshots(n):
    return f"{n} snapshot{'' if n == 1 else 's'}"


# Goal, rows it is about, against whom, what, at least.
def goals(rows):
    found = []

    def goal(text, least, target, figure, want):
        for row in rows:
            if not want(row) or row.ratio(target, figure) is None:
                continue
            value = row.ratio(target, figure)
            ok = value >= least if figure is speed else value <= least + 0.005
            found.append([f"{text}, {row.phase}" if not row.snapshots else text, f"{row.chunk // KIB} KiB", row.job,
                          f"{'≥' if figure is speed else '≤'} {least}", f"{value:.2f}",
                          f"{row.best_ratio(target):.2f}" if figure is speed else "", "yes" if ok else "**no**"])

    def first(n):
        return lambda row: row.phase == "first" and row.snapshots == n and row.job.startswith("rand")

    goal("no snapshot: speed of dm-linear", 0.97, "linear", speed, lambda row: row.snapshots == 0)
    for n, least in ((1, 1.0), (8, 4.0), (64, 25.0)):
        goal(f"{snapshots(n)}, first writes: speed of dm-snapshot", least, "snapshot", speed, first(n))
    goal("1 snapshot, first writes: requests of dm-snapshot", 1.0, "snapshot", requests, first(1))
    goal("1 snapshot, first writes: bytes of dm-snapshot", 1.0, "snapshot", bytes_moved, first(1))
    for n in (1, 8, 64):
        goal(f"{snapshots(n)}, first writes: speed of dm-thin", 1.0, "thin", speed, first(n))
    return found


def as_json(rows):
    out = []
    for row in rows:
        out.append({"snapshots": row.snapshots, "chunk": row.chunk, "job": row.job, "phase": row.phase,
                    "targets": {t: {"bytes_per_second": row.median(t, speed), "requests": row.median(t, requests),
                                    "bytes_moved": row.median(t, bytes_moved), "flushes": row.median(t, flushes)}
                                for t in row.lines},
                    "ratios": {t: row.ratios(t) for t in OTHERS if row.ratios(t)}})
    json.dump(out, sys.stdout, indent=1)
    print()


def main():
    rows = read(sys.argv[1])
    if "--json" in sys.argv[2:]:
        as_json(rows)
        return
    speeds(rows, "first", "First writes")
    speeds(rows, "rewrite", "The same writes again")
    counts(rows, "first", "First writes: what reached the disks (dm-snapshot / dm-thin / multisnapshot)")
    counts(rows, "rewrite", "The same writes again: what reached the disks")
    print("### Goals\n")
    table(["goal", "chunk", "job", "wanted", "median", "best runs", "met"], goals(rows))


main()
