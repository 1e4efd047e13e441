# SPDX-License-Identifier: GPL-2.0
"""What ci/mutants builds: a copy of the tree, once; and of each mutant only its objects, and the programs that are asked.

    src/        the tree, copied; what is as it was keeps its date
    build/      of it, the objects that all mutants share; the mutated ones are linked with these
    coverage/   the same with gcov: which lines of core/ and stores/ each check reaches
    objects/ID/ the objects of a mutant that differ from the original ones
    wN/         of one worker: core/ and stores/ with the mutant in them, its programs, its temporary files

What judges (sim/, tests/, shim/) is never mutated, also where it includes a header of the product.
"""
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess

PRODUCT = ("core", "stores")
FOLDERS = (*PRODUCT, "shim", "sim", "tests", "fuzz", "docs", "packaging", "traces", "ci")
MODULE = re.compile(r"CMakeFiles/(?:core|store_\w+?)(_watched)?\.dir/((?:core|stores)/.*\.c)\.o$")

# A life of a script ends by _exit(), which would lose what gcov has counted.
DUMP_AT_EXIT = """__attribute__((weak)) void __gcov_exit(void);
_Noreturn void __real__exit(int status);
_Noreturn void __wrap__exit(int status);
void __wrap__exit(int status)
{
	if (__gcov_exit)
		__gcov_exit();
	__real__exit(status);
}
"""


class BuildError(Exception):
    pass


def run(command, **options):
    p = subprocess.run(command, capture_output=True, text=True, **options)
    if p.returncode:
        raise BuildError(f"{shlex.join(command)}: exit {p.returncode}\n{(p.stdout + p.stderr)[-3000:]}")
    return p.stdout


def same(a, b):
    with open(a, "rb") as f, open(b, "rb") as g:
        return f.read() == g.read()


def product_files(top):
    """core/ and stores/, sorted."""
    out = []
    for folder in PRODUCT:
        for path, _, names in os.walk(os.path.join(top, folder)):
            out += [os.path.relpath(os.path.join(path, n), top) for n in names if n.endswith((".c", ".h"))]
    return sorted(out)


def digest(top, folders):
    """Of all files there."""
    total = hashlib.sha256()
    for folder in folders:
        for path, folders_in, names in os.walk(os.path.join(top, folder)):
            folders_in.sort()
            for name in sorted(names):
                full = os.path.join(path, name)
                if os.path.isfile(full):
                    total.update(os.path.relpath(full, top).encode() + b"\0")
                    with open(full, "rb") as f:
                        total.update(hashlib.sha256(f.read()).digest())
    return total.hexdigest()[:16]


class Build:
    """The builds, and how their parts are made."""

    def __init__(self, top, root, jobs):
        self.top, self.root, self.jobs = top, root, jobs
        self.src, self.dir, self.coverage = (os.path.join(root, d) for d in ("src", "build", "coverage"))
        self.links = {}
        self.modules = []       # of compile_commands.json: core and stores
        self.dependencies = {}  # object -> files of the product

    # ---- once ----

    def copy(self):
        files = []
        for entry in (*FOLDERS, "CMakeLists.txt"):
            full = os.path.join(self.top, entry)
            if os.path.isfile(full):
                files.append(entry)
            for path, folders, names in os.walk(full):
                folders[:] = [d for d in folders if d != "__pycache__"]
                files += [os.path.relpath(os.path.join(path, n), self.top) for n in names]
        wanted = set(files)
        for path, _, names in os.walk(self.src):
            for name in names:
                if os.path.relpath(os.path.join(path, name), self.src) not in wanted:
                    os.unlink(os.path.join(path, name))
        for file in files:
            here, there = os.path.join(self.top, file), os.path.join(self.src, file)
            if not os.path.exists(there) or not same(here, there):
                os.makedirs(os.path.dirname(there), exist_ok=True)
                shutil.copy(here, there)
                os.utime(there)

    def make(self):
        os.makedirs(self.root, exist_ok=True)
        self.copy()
        run(["cmake", "-S", self.src, "-B", self.dir, "-G", "Ninja", "-DCMAKE_C_COMPILER=gcc",
             "-DCMAKE_BUILD_TYPE=Release"])
        run(["ninja", "-C", self.dir, "-j", str(self.jobs)])
        dump = os.path.join(self.root, "dump.c")
        with open(dump, "w", encoding="ascii") as f:
            f.write(DUMP_AT_EXIT)
        run(["gcc", "-O1", "-c", dump, "-o", dump[:-2] + ".o"])
        run(["cmake", "-S", self.src, "-B", self.coverage, "-G", "Ninja", "-DCMAKE_C_COMPILER=gcc",
             "-DCMAKE_BUILD_TYPE=Debug", "-DMULTISNAP_COVERAGE=ON",
             f"-DCMAKE_EXE_LINKER_FLAGS=-Wl,--wrap=_exit {dump[:-2]}.o"])
        run(["ninja", "-C", self.coverage, "-j", str(self.jobs)])
        self.load()

    def load(self):
        with open(os.path.join(self.dir, "compile_commands.json"), encoding="utf-8") as f:
            for entry in json.load(f):
                command = shlex.split(entry["command"])
                out = command[command.index("-o") + 1]
                m = MODULE.match(out)
                if m:
                    self.modules.append((out, m.group(2), m.group(1) is not None, command))
        for block in run(["ninja", "-C", self.dir, "-t", "deps"]).split("\n\n"):
            lines = block.strip().split("\n")
            if MODULE.match(lines[0].split(":")[0]):
                self.dependencies[lines[0].split(":")[0]] = \
                    {os.path.relpath(line.strip(), self.src) for line in lines[1:]}

    def parser_arguments(self):
        """(source, arguments) of each file of the product that is compiled."""
        for _, source, watched, command in self.modules:
            if not watched:
                yield source, [a for a in command if a.startswith(("-I", "-D", "-std", "-ffree", "-nostdinc"))]

    # ---- of a mutant ----

    def compile(self, work, output, source, command, target):
        """Without what names lines and without dates; the tree of the worker in place of the copy."""
        folders = [os.path.join(self.src, p) for p in PRODUCT]
        out = []
        skip = 0
        for word in command:
            if skip:
                skip -= 1
            elif word in ("-o", "-c", "-MT", "-MF"):
                skip = 1
            elif word not in ("-MD", "-g"):
                for folder in folders:
                    word = word.replace(folder, os.path.join(work, os.path.basename(folder)))
                out.append(word)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        out += ["-g0", f"-ffile-prefix-map={work}={self.src}", "-o", target, "-c", os.path.join(work, source)]
        return subprocess.run(out, cwd=self.dir, capture_output=True, text=True, check=False)

    def affected(self, file, watched):
        return [m for m in self.modules if m[2] == watched and file in self.dependencies.get(m[0], ())]

    def link_command(self, program):
        """The words of the linker's command of a program of build/."""
        if program not in self.links:
            last = run(["ninja", "-C", self.dir, "-t", "commands", program]).strip().split("\n")[-1]
            self.links[program] = shlex.split(last.removeprefix(": && ").removesuffix(" && :"))
        return self.links[program]


def object_digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()[:20]


class Worker:
    """A folder of one worker, and what it makes of a mutant."""

    def __init__(self, build, number):
        self.build = build
        self.dir = os.path.join(build.root, f"w{number}")
        self.originals = {}     # object -> digest, of this worker's folder
        shutil.rmtree(self.dir, ignore_errors=True)
        for folder in PRODUCT:
            shutil.copytree(os.path.join(build.src, folder), os.path.join(self.dir, folder))
        self.tmp = os.path.join(self.dir, "tmp")

    def objects_of(self, mutant):
        return os.path.join(self.build.root, "objects", mutant.id)

    def original(self, module):
        output, source, _, command = module
        if output not in self.originals:
            target = os.path.join(self.dir, "original.o")
            p = self.build.compile(self.dir, output, source, command, target)
            if p.returncode:
                raise BuildError(f"{source}: {p.stderr}")
            self.originals[output] = object_digest(target)
        return self.originals[output]

    def make_objects(self, mutant, text, watched=False):
        """'', or 'no' when it does not compile, or 'same' when nothing differs; and the digests of what does."""
        path = os.path.join(self.dir, mutant.file)
        modules = self.build.affected(mutant.file, watched)
        digests = {}
        for module in modules:
            self.original(module)
        with open(path, "rb") as f:
            was = f.read()
        try:
            with open(path, "wb") as f:
                f.write(text)
            for output, source, _, command in modules:
                target = os.path.join(self.objects_of(mutant), output)
                if self.build.compile(self.dir, output, source, command, target).returncode:
                    return "no", {}
                found = object_digest(target)
                if found == self.originals[output]:
                    os.unlink(target)
                else:
                    digests[output] = found
        finally:
            with open(path, "wb") as f:
                f.write(was)
        return ("" if digests else "same"), digests

    def program(self, mutant, program):
        """Links it with the mutant's objects, once. Returns its path."""
        target = os.path.join(self.dir, "bin", program)
        if os.path.exists(target):
            return target
        os.makedirs(os.path.dirname(target), exist_ok=True)
        objects = self.objects_of(mutant)
        words = []
        watched = False
        for word in self.build.link_command(program):
            m = MODULE.match(word)
            if m and os.path.exists(os.path.join(objects, word)):
                word = os.path.join(objects, word)
            watched = watched or bool(m and m.group(1))
            words.append(word)
        words[words.index("-o") + 1] = target
        if not watched:         # the explorer finds its variables by the names of sections
            words += ["-fuse-ld=gold", "-Wl,-s"]
        run(words, cwd=self.build.dir)
        return target

    def clear(self):
        shutil.rmtree(os.path.join(self.dir, "bin"), ignore_errors=True)
        shutil.rmtree(self.tmp, ignore_errors=True)
        os.makedirs(self.tmp)
