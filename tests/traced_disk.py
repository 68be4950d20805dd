"""What a power cut leaves of a folder, from the system calls of those who changed it.

`strace` writes down the calls with all they wrote; `Disk` carries them out once more, and knows of
every file and every folder what a sync that had ended made certain, and what came after it.

    disk = Disk(folder)
    for call in calls(trace.read_text()):
        disk.carry_out(call)
        disk.leave(somewhere)          # what is certain: only what was synced
        disk.leave(somewhere, random)  # and some of what came after, whole or torn
"""

import ast
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

ON_FILES = ("write", "writev", "pwrite64", "lseek", "ftruncate", "fsync", "fdatasync")
ON_NAMES = (
    *("open", "openat", "creat", "mkdir", "mkdirat", "rename", "renameat", "renameat2"),
    *("unlink", "unlinkat", "rmdir"),
)
LINE = re.compile(
    r"(?P<thread>\d+) +(?P<at>[\d.]+) (?:<\.\.\. \w+ resumed>(?P<rest>.*)|(?P<text>\w+\(.*))"
)
ENDED = re.compile(r"(?P<name>\w+)\((?P<given>.*)\) += (?P<gave>\d+)\S* <(?P<seconds>[\d.]+)>")
OPENED = re.compile(r"(\d+)<([^>]*)>(?!\(deleted\))")  # a descriptor and its path
NAMED = re.compile(r'(?:\w+<([^>]*)>, )?"([^"]*)"')
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
UNFINISHED = " <unfinished ...>"


def tracer(trace: Path) -> tuple[str, ...]:
    """Return what to put before a command so that its calls, and its children's, are appended."""
    how = ("-D", "-f", "--seccomp-bpf", "-y", "-ttt", "-T", "-s", str(1 << 21), "-A")
    return ("strace", *how, "-e", "trace=" + ",".join(ON_FILES + ON_NAMES), "-o", str(trace))


def reason_not_to_trace() -> str | None:
    """Return why nothing can be traced here, None if it can."""
    if shutil.which("strace") is None:
        return "strace is missing: apt install strace"
    tried = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], check=False)
    return "strace may not trace here" if tried.returncode else None


@dataclass(frozen=True, slots=True)
class Call:
    """A call that succeeded, and what it gave back."""

    name: str
    given: str
    gave: int
    began: float
    ended: float
    begins: bool = False  # of a sync: what comes after this moment is not in it


def calls(trace: str) -> Iterator[Call]:
    """Yield the calls of a trace in the order in which they ended; a sync when it begins, too."""
    begun: dict[str, tuple[float, str]] = {}
    for line in trace.splitlines():
        found = LINE.match(line)
        if found is None:
            continue  # a signal, or an exit
        at, text = float(found["at"]), found["text"]
        if text is None:
            at, text = begun.pop(found["thread"])
            text += found["rest"]
        elif text.startswith(("fsync", "fdatasync")):
            yield Call("sync", text.partition("(")[2], 0, at, at, begins=True)
        if text.endswith(UNFINISHED):
            begun[found["thread"]] = at, text.removesuffix(UNFINISHED)
        elif ended := ENDED.fullmatch(text):  # and did not fail
            until = at + float(ended["seconds"])
            yield Call(ended["name"], ended["given"], int(ended["gave"]), at, until)


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes that come to lie in a file."""

    offset: int
    data: bytes

    def __call__(self, content: bytearray) -> None:
        content.extend(bytes(max(0, self.offset - len(content))))
        content[self.offset : self.offset + len(self.data)] = self.data


@dataclass
class Node:
    """A file (its bytes) or a folder (its names): as it is, and as it is for certain."""

    now: bytearray | dict[str, "Node"]
    sure: bytearray | dict[str, "Node"]
    unsure: list[Callable] = field(default_factory=list)  # what makes `now` of `sure`
    synced: int = 0  # changes that are no longer unsure
    syncing: int = 0  # changes that came before the sync that began last
    positions: dict[str, int | None] = field(default_factory=dict)  # None: it appends

    def change(self, how: Callable) -> None:
        """Carry out a change that may be lost."""
        how(self.now)
        self.unsure.append(how)

    def sync(self) -> None:
        """Make certain what had changed when the sync began."""
        count = max(self.syncing - self.synced, 0)
        for how in self.unsure[:count]:
            how(self.sure)
        del self.unsure[:count]
        self.synced += count

    def left(self, chance: Random | None) -> bytearray | dict[str, "Node"]:
        """Return what is left: what is certain, or by chance a part of what came after, too."""
        left = self.sure.copy()
        if chance is not None:
            count = chance.randint(0, len(self.unsure))
            for how in self.unsure[:count]:
                how(left)
            torn = self.unsure[count] if count < len(self.unsure) else None
            if isinstance(torn, Write):
                Write(torn.offset, torn.data[: chance.randrange(len(torn.data) + 1)])(left)
        return left


class Disk:
    """A folder that was empty when the trace began."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._root = Node({}, {})

    def node(self, path: str | Path) -> Node | None:
        """Return what lies there now."""
        if not Path(path).is_relative_to(self.folder):
            return None
        node: Node | None = self._root
        for name in Path(path).relative_to(self.folder).parts:
            node = node.now.get(name) if node and isinstance(node.now, dict) else None
        return node

    def carry_out(self, call: Call) -> bool:
        """Do what a call did; tell whether a power cut after it may leave something else."""
        if call.name in ON_NAMES:
            return self._named(call, [str(Path(a, b)) for a, b in NAMED.findall(call.given)])
        opened = OPENED.match(call.given)
        node = self.node(opened[2]) if opened else None
        if opened is None or node is None:
            return False
        if call.begins:
            node.syncing = node.synced + len(node.unsure)
        elif call.name == "lseek":
            if node.positions.get(opened[1]) is not None:
                node.positions[opened[1]] = call.gave
        elif call.name in ("fsync", "fdatasync"):
            node.sync()
        elif call.name == "ftruncate":
            node.change(cut(int(call.given.rpartition(", ")[2])))
        else:
            self._write(node, opened[1], call)
        return not call.begins and call.name != "lseek"

    def _write(self, node: Node, descriptor: str, call: Call) -> None:
        quoted = [ast.literal_eval(f"b{text}") for text in QUOTED.findall(call.given)]
        data = b"".join(quoted)[: call.gave]
        assert len(data) == call.gave, "strace has cut off what was written"
        if call.name == "pwrite64":
            node.change(Write(int(call.given.rpartition(", ")[2]), data))
            return
        position = node.positions[descriptor]
        node.change(Write(len(node.now) if position is None else position, data))
        if position is not None:
            node.positions[descriptor] = position + len(data)

    def _named(self, call: Call, paths: list[str]) -> bool:
        parent = self.node(Path(paths[0]).parent) if paths else None
        if parent is None:
            return False
        name, node = Path(paths[0]).name, self.node(paths[0])
        if call.name in ("open", "openat", "creat"):
            if node is None:
                assert "O_CREAT" in call.given
                node = Node(bytearray(), bytearray())
                parent.change(puts(name, node))
            elif "O_TRUNC" in call.given:
                node.change(cut(0))
            if re.search("O_WRONLY|O_RDWR", call.given):
                node.positions[str(call.gave)] = None if "O_APPEND" in call.given else 0
            return bool(re.search("O_CREAT|O_TRUNC", call.given))
        elif call.name.startswith("mkdir"):
            parent.change(puts(name, Node({}, {})))
        elif call.name.startswith("rename"):
            assert Path(paths[1]).parent == Path(paths[0]).parent
            parent.change(puts(Path(paths[1]).name, node, instead_of=name))
        else:
            parent.change(lambda names: names.pop(name, None))
        return True

    def leave(self, folder: Path, chance: Random | None = None) -> None:
        """Write what a power cut would leave now; with a chance, some of what isn't certain."""
        write(folder, self._root, lambda node: node.left(chance))

    def copy(self, folder: Path) -> None:
        """Write what is there now."""
        write(folder, self._root, lambda node: node.now)


def write(folder: Path, node: Node, state: Callable[[Node], bytearray | dict[str, Node]]) -> None:
    """Write a node and what is in it."""
    left = state(node)
    if isinstance(left, dict):
        folder.mkdir(mode=0o700, parents=True)
        for name, inner in left.items():
            write(folder / name, inner, state)
    else:
        folder.write_bytes(left)


def cut(size: int) -> Callable[[bytearray], None]:
    """Return what gives a file that size."""

    def how(content: bytearray) -> None:
        del content[size:]
        content.extend(bytes(size - len(content)))

    return how


def puts(name: str, node: Node, instead_of: str | None = None) -> Callable[[dict], None]:
    """Return what gives a node its name, and takes its old one."""

    def how(names: dict[str, Node]) -> None:
        names.pop(instead_of, None)
        names[name] = node

    return how
