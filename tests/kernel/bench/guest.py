#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Runs in the guest of ci/kernel-bench: the same fio jobs on dm-linear, dm-snapshot, dm-thin and dm-multisnapshot.

    guest.py MATRIX RESULTS     MATRIX: JSON from cells.py; RESULTS: one JSON object a line, one for each fio run

Each run gets devices made anew: an origin that has been written before, stores that have not. A job is run twice
with the same seed: the second time it writes what it has written before ("rewrite"). The amount of I/O is fixed, so
that what reaches the disks can be counted (/sys/block/*/stat) and compared.
"""
import json
import mmap
import os
import subprocess
import sys
import time

CONFIGFS = "/sys/kernel/config"
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
SECTOR = 512
# In /sys/block/*/stat: requests completed, sectors.
STAT_FIELDS = {"reads": 0, "read_sectors": 2, "writes": 4, "write_sectors": 6, "flushes": 15}

# The largest request: enough for a fio request of 1 MiB.
BLOCKSIZE, MAX_SECTORS = 512, 2560
# More than is ever written: only flushes empty it.
CACHE_MIB = 16384
PHASES = ("first", "rewrite")


def sh(*command):
    r = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if r.returncode:
        sys.exit(f"guest.py: {' '.join(command)[:300]}: exit {r.returncode}: {r.stdout.strip()}")
    return r.stdout


def write_file(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(str(text))


class Disk:
    """A disk in the guest's memory: null_blk, memory_backed. It completes a request when it is submitted, so that
    what is measured is the work of the target and not a disk's moods; cache_size makes it one with a volatile
    cache, so that flushes are sent, and counted."""

    def __init__(self, name, size):
        self.name, self.size = name, size
        self.path = f"/dev/{name}"
        self.config = f"{CONFIGFS}/nullb/{name}"
        os.mkdir(self.config)
        for key, value in (("size", size // MIB), ("blocksize", BLOCKSIZE), ("memory_backed", 1),
                           ("irqmode", 0), ("queue_mode", 2), ("submit_queues", 1),
                           ("hw_queue_depth", 256), ("max_sectors", MAX_SECTORS), ("cache_size", CACHE_MIB),
                           ("power", 1)):
            write_file(f"{self.config}/{key}", value)

    def sectors(self):
        return self.size // SECTOR

    def stat(self):
        with open(f"/sys/block/{self.name}/stat", encoding="ascii") as f:
            fields = [int(x) for x in f.read().split()]
        return {key: fields[i] for key, i in STAT_FIELDS.items()}

    def remove(self):
        write_file(f"{self.config}/power", 0)
        os.rmdir(self.config)


def add(stats):
    return {key: sum(s[key] for s in stats) for key in STAT_FIELDS}


def dm_create(*devices):
    """(name, table) each, in one go."""
    sh("dmsetup", "create", "--concise", ";".join(f"{name},,,rw,{table}" for name, table in devices))


def dm_remove(*names):
    sh("dmsetup", "remove", *names)


def fill(path, size):
    """Sequential, so that each block is there; with something other than zeroes."""
    data = mmap.mmap(-1, MIB)
    data.write(os.urandom(4096) * (MIB // 4096))
    fd = os.open(path, os.O_WRONLY | os.O_DIRECT)
    for at in range(0, size, MIB):
        os.pwrite(fd, data, at)
    os.close(fd)


class Target:
    """A device to write to: made by the constructor, with the snapshots."""
    stores = ()
    device = "/dev/mapper/b"

    def __init__(self, origin, cell):
        self.origin, self.size, self.cell = origin, origin.sectors(), cell
        self.make(cell["snapshots"], cell["chunk"] // SECTOR)

    def remove(self):
        self.unmake()
        for disk in self.stores:
            disk.remove()

    def stat(self):
        return {"origin": self.origin.stat(), "store": add([d.stat() for d in self.stores])}


class Linear(Target):
    def make(self, n, chunk):
        dm_create(("b", f"0 {self.size} linear {self.origin.path} 0"))

    def unmake(self):
        dm_remove("b")


class Snapshot(Target):
    """N snapshots, each with a disk of its own for its exceptions; persistent."""

    def make(self, n, chunk):
        share = self.cell["store"] // max(n, 1) // MIB * MIB
        self.stores = [Disk(f"cow{i}", share) for i in range(n)]
        self.names = [f"s{i}" for i in range(n)]
        devices = [(name, f"0 {self.size} snapshot {self.origin.path} {disk.path} P {chunk}")
                   for name, disk in zip(self.names, self.stores)]
        if devices:
            dm_create(*devices)
        # After its snapshots: it looks at their chunk sizes when it is resumed.
        dm_create(("b", f"0 {self.size} snapshot-origin {self.origin.path}"))

    def unmake(self):
        dm_remove("b", *self.names)


class Multisnap(Target):
    def make(self, n, chunk):
        self.stores = [Disk("store", self.cell["store"])]
        ids = " ".join(map(str, range(n)))
        sync = f"1 sync-snapshots mikulas 0 {n} {ids}" if n else "0 mikulas 0"
        dm_create(("b", f"0 {self.size} multisnapshot {self.origin.path} {self.stores[0].path} {chunk} {sync}"))

    def unmake(self):
        dm_remove("b")


class Thin(Target):
    """A thin volume, all of it written, and N thin snapshots of it. It has no origin apart."""

    def make(self, n, chunk):
        self.stores = [Disk("tmeta", 64 * MIB), Disk("tdata", self.cell["store"])]
        meta, data = self.stores
        dm_create(("pool", f"0 {data.sectors()} thin-pool {meta.path} {data.path} {chunk} 0 1 skip_block_zeroing"))
        sh("dmsetup", "message", "pool", "0", "create_thin 0")
        dm_create(("b", f"0 {self.size} thin /dev/mapper/pool 0"))
        fill(self.device, self.size * SECTOR)
        sh("dmsetup", "suspend", "b")
        for i in range(1, n + 1):
            sh("dmsetup", "message", "pool", "0", f"create_snap {i} 0")
        sh("dmsetup", "resume", "b")

    def unmake(self):
        dm_remove("b", "pool")

    def stat(self):
        return {"origin": add([]), "store": add([d.stat() for d in self.stores])}


TARGETS = {"linear": Linear, "snapshot": Snapshot, "thin": Thin, "multisnap": Multisnap}


def fio(job, device, output):
    """Seconds. fio takes no time of each write: that would be system calls, which are dear in this guest."""
    # Where there is a queue, half of it is submitted and reaped at a time, and nothing comes between: on a processor of
    # its own fio would not be interrupted either. Else the one processor goes to and fro between fio and the target
    # after each write, or after each batch, by turns, and group sizes are an accident.
    batch = max(1, job["depth"] // 2)
    sync = ["--fdatasync=1"] if job["sync"] else []
    sh("chrt", "-f", "1", "fio", "--name=b", f"--filename={device}", f"--rw={job['rw']}", f"--bs={job['bs']}",
       f"--iodepth={job['depth']}", f"--iodepth_batch={batch}", f"--iodepth_batch_complete_min={batch}",
       f"--iodepth_batch_complete_max={job['depth']}", f"--number_ios={job['ios']}", "--ioengine=libaio",
       "--direct=1", "--thread", "--randseed=1", "--gtod_reduce=1", "--disk_util=0", "--output-format=json",
       f"--output={output}", *sync)
    with open(output, encoding="utf-8") as f:
        result = json.load(f)["jobs"][0]
    write = result["write"]
    if result["error"] or write["total_ios"] != job["ios"]:
        sys.exit(f"guest.py: fio on {device}: error {result['error']}, {write['total_ios']} of {job['ios']} writes")
    return write["runtime"] / 1000


def difference(before, after):
    return {d: {k: after[d][k] - before[d][k] for k in STAT_FIELDS} for d in before}


def run(target_name, origin, cell, job, results, round_number):
    started = time.monotonic()
    target = TARGETS[target_name](origin, cell)
    made = time.monotonic()
    for phase in PHASES:
        before = target.stat()
        seconds = fio(job, target.device, "/tmp/fio.json")
        line = {"round": round_number, "target": target_name, "snapshots": cell["snapshots"],
                "chunk": cell["chunk"], "job": job["name"], "phase": phase, "ios": job["ios"],
                "bytes": job["ios"] * job["bs"], "seconds": seconds,
                **difference(before, target.stat())}
        results.write(json.dumps(line) + "\n")
        results.flush()
    ran = time.monotonic()
    target.remove()
    print(f"{target_name:10} {cell['snapshots']:3} {cell['chunk'] // KIB:4}K {job['name']:10} "
          f"made {made - started:5.2f} ran {ran - made:5.2f} removed {time.monotonic() - ran:5.2f}", flush=True)


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        matrix = json.load(f)
    sh("mount", "-t", "configfs", "configfs", CONFIGFS)
    # The guest's memory becomes real on the host when it is first touched: not in the first rounds' time.
    touched = Disk("touched", 7 * matrix["origin"] // 2)
    fill(touched.path, touched.size)
    touched.remove()
    origin = Disk("origin", matrix["origin"])
    fill(origin.path, origin.size)
    with open(sys.argv[2], "w", encoding="utf-8") as results:
        for n in range(matrix["rounds"]):
            for cell in matrix["cells"]:
                for job in cell["jobs"]:
                    # Each is first in turn.
                    names = cell["targets"]
                    for i in range(len(names)):
                        run(names[(i + n) % len(names)], origin, cell, job, results, n)
    origin.remove()


main()
