# SPDX-License-Identifier: GPL-2.0
"""Makes mutants of C files: small changes of the text, at places that the compiler's own parser (libclang) tells.

A mutant is a change of one piece of one file, named by what it is and not by its line: its id is a hash of the file, the
function, the lines before and after the change, and which of several that read the same it is.

What is changed (the operator's name in reports):

    compare     < <= > >= == !=          arith   + - * / %          bits    & | ^ << >>
    logic       && || one side of them, !                           assign  += -= |= &= ++ --
    flag        one side of a | b        const   n+1, 0 or 1, true, false
    branch      the condition of if, while and do: never, always (if), the other way round (if); both sides of ?:
    delete      a statement: call, assignment, return, break, continue, goto
    drop        an error: of r = f(), the assignment; of return, the value

Not changed: what a macro's body holds, #define (constants of the format and of tuning), messages of the log and when
they come.
"""
import ctypes
import hashlib
import os
import re
from dataclasses import dataclass

import clang.cindex as cindex
from clang.cindex import CursorKind as K

REPLACE = {
    "compare": {b"<": (b"<=", b">="), b"<=": (b"<", b">"), b">": (b">=", b"<="), b">=": (b">", b"<"),
                b"==": (b"!=",), b"!=": (b"==",)},
    "arith": {b"+": (b"-",), b"-": (b"+",), b"*": (b"+",), b"/": (b"*",), b"%": (b"*",)},
    "bits": {b"&": (b"|",), b"|": (b"&",), b"^": (b"|",), b"<<": (b">>",), b">>": (b"<<",)},
    "logic": {b"&&": (b"||",), b"||": (b"&&",)},
    "assign": {b"+=": (b"-=",), b"-=": (b"+=",), b"|=": (b"&=",), b"&=": (b"|=",), b"^=": (b"|=",), b"*=": (b"+=",),
               b"/=": (b"*=",), b"%=": (b"/=",), b"<<=": (b">>=",), b">>=": (b"<<=",)},
}
OPERATORS = {op: (name, new) for name, table in REPLACE.items() for op, new in table.items()}
LITERAL = re.compile(rb"(0[xX][0-9a-fA-F]+|\d+)([uUlL]*)$")
MESSAGES = re.compile(rb"(DM\w*(ERR|WARN|INFO|EMIT)\w*|pr_\w+)\(")
COMMENT = re.compile(rb"/\*.*?\*/|//[^\n]*", re.S)
LOOPS = (K.WHILE_STMT, K.DO_STMT)


@dataclass
class Mutant:
    id: str
    file: str
    function: str
    operator: str
    start: int          # bytes of the file
    end: int
    text: bytes         # what stands there then
    line: int           # of the change
    lines: tuple        # first and last line of the statement, and of the function: what a test must reach
    body: tuple
    diff: str


class Maker:
    """All mutants of a set of files."""

    def __init__(self, top, files):
        self.top = top
        self.files = set(files)
        self.texts = {}
        self.found = {}         # (file, start, end, text) -> (function, operator, statement, body)
        self.done = set()       # files that were looked at
        self.names = {}         # of files of the parser

    def text(self, name):
        if name not in self.texts:
            with open(os.path.join(self.top, name), "rb") as f:
                self.texts[name] = f.read()
        return self.texts[name]

    # ---- places ----

    def place(self, location):
        """File and byte of a place, as written: that of an argument of a macro is where the argument is."""
        handle, offset = cindex.c_object_p(), ctypes.c_uint()
        cindex.conf.lib.clang_getFileLocation(location, ctypes.byref(handle), None, None, ctypes.byref(offset))
        if not handle:
            return None, 0
        address = ctypes.cast(handle, ctypes.c_void_p).value
        if address not in self.names:
            self.names[address] = os.path.relpath(os.path.realpath(cindex.File(handle).name), self.top)
        return self.names[address], offset.value

    def span(self, cursor):
        """(file, start, end), or None where that is no piece of one of the files."""
        file, start = self.place(cursor.extent.start)
        last, end = self.place(cursor.extent.end)
        if file != last or file not in self.files or start >= end:
            return None
        return file, start, end

    # ---- looking ----

    def parse(self, source, arguments):
        unit = cindex.Index.create().parse(os.path.join(self.top, source), args=arguments)
        errors = [d for d in unit.diagnostics if d.severity >= cindex.Diagnostic.Error]
        if errors:
            raise RuntimeError(f"{source}: the parser says: {errors[0]}")
        self.names = {}
        seen = set()
        for cursor in unit.cursor.get_children():
            file, _ = self.place(cursor.extent.start)
            if file not in self.files or file in self.done:
                continue
            seen.add(file)
            if cursor.kind == K.FUNCTION_DECL and cursor.is_definition():
                body = self.span(cursor)
                if body:
                    self.look(cursor, cursor.spelling, body[1:], body[1:], cursor.result_type.get_canonical().kind)
            elif cursor.kind == K.VAR_DECL:
                body = self.span(cursor)
                if body:
                    self.look(cursor, "", body[1:], (0, 0), None)
        self.done |= seen

    def add(self, place, text, operator, statement, body, function):
        file, start, end = place
        key = (file, start, end, text)
        if self.text(file)[start:end] != text and key not in self.found:
            self.found[key] = (function, operator, statement, body)

    def look(self, cursor, function, statement, body, result):
        for child in cursor.get_children():
            inner = statement
            place = self.span(child)
            if place and self.only_tells(child):
                continue
            if place:
                if cursor.kind in (K.COMPOUND_STMT, K.IF_STMT, K.FOR_STMT, K.CASE_STMT, K.DEFAULT_STMT, *LOOPS):
                    inner = place[1:]
                here = (inner, body, function)
                self.change(child, cursor, place, here, result)
                self.delete(child, cursor, place, here)
            self.look(child, function, inner, body, result)

    def only_tells(self, cursor):
        """Does nothing but a message depend on it?"""
        parts = list(cursor.get_children()) if cursor.kind == K.IF_STMT else []
        spans = [self.span(c) for c in parts]
        return len(parts) == 2 and all(spans) and not calls(parts[0]) and \
            MESSAGES.match(self.text(spans[1][0])[spans[1][1]:]) is not None

    def change(self, cursor, parent, place, here, result):
        file, start, end = place
        text = self.text(file)
        mine = text[start:end]
        children = list(cursor.get_children())
        spans = [self.span(c) for c in children]
        kind = cursor.kind
        if kind in (K.BINARY_OPERATOR, K.COMPOUND_ASSIGNMENT_OPERATOR) and len(spans) == 2 and all(spans):
            self.binary(place, spans, here)
        elif kind == K.UNARY_OPERATOR and len(spans) == 1 and spans[0]:
            _, a, b = spans[0]
            head, tail = text[start:a], text[b:end]
            if head in (b"!", b"~", b"-") and not tail and LITERAL.match(text[a:b]) is None:
                self.add(place, text[a:b], "logic" if head == b"!" else "arith", *here)
            for old, new in ((b"++", b"--"), (b"--", b"++")):
                if head == old and not tail:
                    self.add((file, start, a), new, "assign", *here)
                if tail == old and not head:
                    self.add((file, b, end), new, "assign", *here)
        elif kind == K.INTEGER_LITERAL and parent.kind != K.VAR_DECL:
            m = LITERAL.match(mine)
            if m:
                n = int(m.group(1), 16 if m.group(1)[:2].lower() == b"0x" else 8 if m.group(1)[0:1] == b"0" else 10)
                for new in {n + 1, 0 if n else 1}:
                    self.add(place, str(new).encode() + m.group(2), "const", *here)
            elif mine in (b"true", b"false"):
                self.add(place, b"false" if mine == b"true" else b"true", "const", *here)
        elif kind == K.IF_STMT and mine.startswith(b"if") and spans and spans[0]:
            self.condition(spans[0], here, (b"((%s) && 0)", b"((%s) || 1)", b"!(%s)"))
        elif kind == K.WHILE_STMT and mine.startswith(b"while") and spans and spans[0]:
            self.condition(spans[0], here, (b"((%s) && 0)",))
        elif kind == K.DO_STMT and mine.startswith(b"do") and len(spans) == 2 and spans[1]:
            self.condition(spans[1], here, (b"((%s) && 0)",))
        elif kind == K.CONDITIONAL_OPERATOR and len(spans) == 3 and all(spans):
            (_, a, b), (_, c, d), (_, e, f) = spans
            if a < b <= c < d <= e < f and text[b:c].strip(b" \t\n()") == b"?" and text[d:e].strip(b" \t\n()") == b":":
                for x, y in ((c, d), (e, f)):
                    self.add(place, lines_kept(b"((%s), %s)" % (b"void)(" + text[a:b], text[x:y]), mine), "branch", *here)
        elif kind == K.RETURN_STMT and mine.startswith(b"return") and spans and spans[0]:
            self.returned(place, spans[0], children[0], here, result)

    def binary(self, place, spans, here):
        file, start, end = place
        text = self.text(file)
        (_, a, b), (_, c, d) = spans
        if not start <= a < b <= c < d <= end:
            return
        between = COMMENT.sub(lambda m: b" " * len(m.group(0)), text[b:c])
        old = between.strip()
        if old not in OPERATORS:
            return
        at = b + between.index(old)
        operator, new = OPERATORS[old]
        for op in new:
            self.add((file, at, at + len(old)), op, operator, *here)
        if old in (b"&&", b"||", b"|"):
            for x, y in ((a, b), (c, d)):
                self.add(place, lines_kept(text[x:y], text[start:end]), "flag" if old == b"|" else "logic", *here)

    def condition(self, place, here, forms):
        file, start, end = place
        text = self.text(file)
        if not text[:start].rstrip().endswith(b"(") or not text[end:].lstrip().startswith(b")"):
            return
        for form in forms:
            self.add(place, form % text[start:end], "branch", *here)

    def returned(self, place, value, child, here, result):
        file, start, end = value
        text = self.text(file)
        mine = text[start:end]
        if result == cindex.TypeKind.INT and not LITERAL.match(mine):
            new = b"0" if calls(child) == 0 else b"((void)(%s), 0)" % mine
            self.add(value, lines_kept(new, mine), "drop", *here)
        elif result == cindex.TypeKind.BOOL and mine not in (b"true", b"false"):
            self.add(value, b"!(%s)" % mine, "branch", *here)
        elif result == cindex.TypeKind.POINTER and mine != b"NULL":
            self.add(value, lines_kept(b"NULL", mine), "drop", *here)

    def delete(self, cursor, parent, place, here):
        file, start, end = place
        text = self.text(file)
        mine = text[start:end]
        statement = parent.kind in (K.COMPOUND_STMT, K.CASE_STMT, K.DEFAULT_STMT, K.LABEL_STMT) or \
            (parent.kind in (K.IF_STMT, K.FOR_STMT, K.WHILE_STMT) and before(text, start)[-1:] in b")e")
        if not statement:
            return
        tail = re.match(rb"\s*;", text[end:])
        if not tail or MESSAGES.match(mine):
            return
        whole = (file, start, end + tail.end())
        kind = cursor.kind
        if kind in (K.BREAK_STMT, K.CONTINUE_STMT, K.GOTO_STMT) or kind == K.RETURN_STMT and mine == b"return" or \
                kind.is_expression() or kind == K.DO_STMT and not mine.startswith(b"do"):
            self.add(whole, lines_kept(b"{ }", text[whole[1]:whole[2]]), "delete", *here)
        if kind == K.BINARY_OPERATOR:
            children = list(cursor.get_children())
            spans = [self.span(c) for c in children]
            if all(spans) and text[spans[0][2]:spans[1][1]].strip() == b"=" and children[1].kind == K.CALL_EXPR and \
                    cursor.type.get_canonical().kind == cindex.TypeKind.INT:
                call = text[spans[1][1]:spans[1][2]]
                self.add(place, lines_kept(b"(void)" + call, mine), "drop", *here)

    # ---- naming ----

    def mutants(self):
        """In the order of the files, each with its id."""
        out = []
        times = {}
        for key in sorted(self.found):
            file, start, end, new = key
            function, operator, statement, body = self.found[key]
            text = self.text(file)
            first = text.rfind(b"\n", 0, start) + 1
            last = text.find(b"\n", end)
            old_lines = text[first:last].decode().split("\n")
            new_lines = (text[first:start] + new + text[end:last]).decode().split("\n")
            pairs = [(a, b) for a, b in zip(old_lines, new_lines) if a != b]
            diff = "".join(f"-{a.strip()}\n" for a, _ in pairs) + "".join(f"+{b.strip()}\n" for _, b in pairs)
            name = (file, function, diff)
            times[name] = times.get(name, 0) + 1
            number = hashlib.sha256("\0".join((*name, str(times[name]))).encode()).hexdigest()[:10]

            def line(offset, text=text):
                return text.count(b"\n", 0, offset) + 1
            out.append(Mutant(number, file, function, operator, start, end, new, line(start),
                              (line(statement[0]), line(end)), tuple(o and line(o) for o in body), diff))
        return out


def before(text, start):
    """The text before a place, as far as a comment may be long, without comments."""
    return COMMENT.sub(b"", text[max(0, start - 1000):start]).rstrip()


def calls(cursor):
    return (cursor.kind == K.CALL_EXPR) + sum(calls(c) for c in cursor.get_children())


def lines_kept(new, old):
    """As many lines as before, so that no other line gets another number."""
    return new + b"\n" * (old.count(b"\n") - new.count(b"\n"))


def mutate(text, mutant):
    return text[:mutant.start] + mutant.text + text[mutant.end:]
