#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What ci/kernel-bench runs: prints the matrix of cells as JSON for guest.py.

    matrix.py [--quick] [--rounds N] [--only REGEX]

A cell is a number of snapshots and a chunk size, with jobs and targets; its name, which --only looks at, is
"N<snapshots> <chunk in KiB>K <job>", as "N1 4K rand-qd32". Amounts of I/O are fixed for each cell: so many writes that
a run takes a fraction of a second, so few that most of them are the first to their chunk, and that the copies of
dm-snapshot, one for each snapshot, have room in the memory of the guest.
"""
import argparse
import json
import re
import sys

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
ORIGIN = 1 * GIB
STORE = 4 * GIB
COPIES = 2 * GIB    # bytes that one run of dm-snapshot may copy
BLOCK = 4 * KIB

# Snapshots: chunks. All sizes with one snapshot; else the smallest, and that of dm-thin.
CHUNKS = {0: (4, 64), 1: (4, 8, 64, 256), 8: (4, 64), 64: (4, 64)}
THIN_CHUNK = 64 * KIB
QUICK = {(0, 64), (1, 4), (1, 64), (64, 4)}
# Queue depths. With one snapshot only: "sync", each write followed by fdatasync(); "many" (with small chunks), eight
# times as many writes, where the tables that a target keeps grow.
JOBS = {"rand-qd1": 1, "rand-sync": 1, "rand-qd32": 32, "rand-many": 32, "seq-1M": 1}
MANY = 8


def random_writes(snapshots, chunk, depth):
    if not snapshots:
        return 32768 if depth > 1 else 16384
    first = min(16384, ORIGIN // chunk // 8)
    return min(first, COPIES // (snapshots * chunk))


def job(name, snapshots, chunk):
    depth = JOBS[name]
    if name == "seq-1M":
        size = min(256 * MIB if snapshots else 512 * MIB, COPIES // max(snapshots, 1))
        return {"name": name, "rw": "write", "bs": MIB, "depth": depth, "ios": size // MIB, "sync": False}
    writes = random_writes(snapshots, chunk, depth) * (MANY if name == "rand-many" else 1)
    return {"name": name, "rw": "randwrite", "bs": BLOCK, "depth": depth, "ios": writes, "sync": name == "rand-sync"}


def targets(snapshots, chunk):
    thin = ["thin"] if chunk == THIN_CHUNK else []
    # The linear target and snapshot-origin know no chunks.
    if not snapshots:
        return ["linear", "snapshot", "multisnap"] + thin
    return ["snapshot", "multisnap"] + thin


def name_of(snapshots, chunk, job_name):
    return f"N{snapshots} {chunk // KIB}K {job_name}"


def wanted(name, snapshots, kib, quick):
    if quick and name not in ("rand-qd32", "seq-1M"):
        return False
    if name == "rand-sync":
        return snapshots == 1 and kib in CHUNKS[8]
    return name != "rand-many" or (snapshots, kib) == (1, 4)


def matrix(quick, rounds, only):
    cells = []
    for snapshots, chunks in CHUNKS.items():
        for kib in chunks:
            chunk = kib * KIB
            if quick and (snapshots, kib) not in QUICK:
                continue
            names = [name for name in JOBS
                     if re.search(only, name_of(snapshots, chunk, name)) and wanted(name, snapshots, kib, quick)]
            if names:
                cells.append({"snapshots": snapshots, "chunk": chunk, "store": STORE,
                              "targets": targets(snapshots, chunk),
                              "jobs": [job(name, snapshots, chunk) for name in names]})
    return {"origin": ORIGIN, "rounds": rounds, "cells": cells}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    result = matrix(args.quick, args.rounds, args.only)
    if not result["cells"]:
        sys.exit(f"matrix.py: no cell matches --only '{args.only}'; names are like '{name_of(1, 4 * KIB, 'rand-qd32')}'")
    json.dump(result, sys.stdout)


main()
