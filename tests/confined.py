"""Run a command as systemd would under the unit: `python confined.py UNIT USER STATE COMMAND...`.

What of the unit's sandbox can be had without systemd as process 1 is put on by hand: user and
groups, no rights of root, a mount namespace (read-only system, no homes, a private /tmp, a /dev
with sound only, processes of others hidden, kernel settings read-only), limits, and the filters of
system calls, address families, namespaces, SUID and real time by libseccomp. The control group's
part (the device filter of the kernel, OOMPolicy) and RemoveIPC are systemd's alone.

Needs root, libseccomp and the programs mount and systemd-analyze. USER is a number: the user, and
its group, that nobody else has. STATE is the one folder that can be written.
"""

import ctypes
import ctypes.util
import grp
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

ALLOW, ERRNO = 0x7FFF0000, 0x00050000
EPERM, ENOSYS = 1, 38
NOT_EQUAL, EQUAL, MASKED = 1, 4, 7
NAMESPACES = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
CLONE_NEWNS, CLONE_NEWUTS = 0x00020000, 0x04000000
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
SUID_SGID = (0o4000, 0o2000)
REAL_TIME = (1, 2)  # SCHED_FIFO, SCHED_RR
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")

libc = ctypes.CDLL(None, use_errno=True)


class Comparison(ctypes.Structure):
    """libseccomp's scmp_arg_cmp."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


class Filter:
    """A filter of system calls."""

    def __init__(self, default: int) -> None:
        self._lib = ctypes.CDLL("libseccomp.so.2")
        self._lib.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._lib.seccomp_init(ctypes.c_uint32(default)))

    def rule(self, action: int, name: str, *comparisons: Comparison) -> None:
        """Add a rule, unless this machine has no such call."""
        number = self._lib.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:
            array = (Comparison * max(len(comparisons), 1))(*comparisons)
            failed = self._lib.seccomp_rule_add_array(
                self._context, ctypes.c_uint32(action), number, len(comparisons), array
            )
            assert failed == 0, (name, failed)

    def load(self) -> None:
        """Put it on."""
        assert self._lib.seccomp_load(self._context) == 0


def unit(path: Path) -> dict[str, list[str]]:
    """Return the words of the [Service] section, by their names."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in path.read_text().splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).extend(value.split())
    return found


def calls_of(name: str) -> set[str]:
    """Return the calls of a set of systemd's, such as @system-service."""
    if not name.startswith("@"):
        return {name}
    told = subprocess.run(
        ["systemd-analyze", "syscall-filter", "--no-pager", name],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    lines = [line.strip() for line in told.splitlines()[1:]]
    return set().union(*(calls_of(line) for line in lines if line and not line.startswith("#")))


def allowed_calls(words: list[str]) -> set[str]:
    """Return the calls that SystemCallFilter lets through."""
    allowed: set[str] = set()
    for word in words:
        if word.startswith("~"):
            allowed -= calls_of(word[1:])
        else:
            allowed |= calls_of(word)
    return allowed


def mount(*arguments: str) -> None:
    """Mount."""
    subprocess.run(["mount", *arguments], check=True)


def confine_files(said: dict[str, list[str]], state: Path, kept: list[Path]) -> None:
    """Make the file system what the unit says; `kept` stay visible wherever they lie."""
    assert libc.unshare(CLONE_NEWNS | CLONE_NEWUTS) == 0
    mount("--make-rprivate", "/")
    aside = state / ".kept"
    aside.mkdir(exist_ok=True)
    places = [(path, aside / str(number)) for number, path in enumerate(kept)]
    for path, place in places:
        place.mkdir(exist_ok=True)
        mount("--rbind", str(path), str(place))
    if said["ProtectHome"] == ["yes"]:
        for home in ("/home", "/root", "/run/user"):
            if Path(home).is_dir():
                mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", home)
    if said["PrivateTmp"] == ["yes"]:
        for folder in ("/tmp", "/var/tmp"):
            mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", folder)
    for path, place in places:
        path.mkdir(parents=True, exist_ok=True)
        mount("--rbind", str(place), str(path))
    only_sound(state / ".dev")
    mount("-t", "proc", "-o", "hidepid=invisible,nosuid,nodev,noexec", "proc", "/proc")
    for path in ("/proc/sys", "/sys"):
        mount("--bind", path, path)
        mount("-o", "remount,bind,ro", path)
    mount("--bind", str(state), str(state))
    left_alone = ("/dev", "/proc", "/sys", str(state), "/tmp", "/var/tmp")
    for line in Path("/proc/self/mounts").read_text().splitlines():
        place = line.split()[1].replace("\\040", " ")
        if not any(place == each or place.startswith(f"{each}/") for each in left_alone):
            mount("-o", "remount,bind,ro", place)


def only_sound(new: Path) -> None:
    """Make a /dev with what each program needs, and sound."""
    new.mkdir(exist_ok=True)
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(new))
    for name in DEVICES:
        (new / name).touch()
        mount("--bind", f"/dev/{name}", str(new / name))
    for name in ("shm", "snd"):
        (new / name).mkdir()
    if Path("/dev/snd").is_dir():
        mount("--rbind", "/dev/snd", str(new / "snd"))
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        (new / name).symlink_to(f"/proc/self/fd/{number}")
    (new / "fd").symlink_to("/proc/self/fd")
    mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", str(new / "shm"))
    mount("--move", str(new), "/dev")


def become(user: int, groups: list[str]) -> None:
    """Become a user without any right of root."""
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    right = 0
    while libc.prctl(PR_CAPBSET_DROP, right, 0, 0, 0) == 0:
        right += 1
    os.setgroups([grp.getgrnam(name).gr_gid for name in groups])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def confine_calls(said: dict[str, list[str]]) -> None:
    """Put the filters on: what is forbidden of single calls, then the calls themselves."""
    calls = allowed_calls(said["SystemCallFilter"])
    forbidden = Filter(ALLOW)
    families = {getattr(socket, name).value for name in said["RestrictAddressFamilies"]}
    for family in range(64):
        if family not in families:
            forbidden.rule(ERRNO | EPERM, "socket", Comparison(0, EQUAL, family, 0))
    for flag in NAMESPACES:
        forbidden.rule(ERRNO | EPERM, "clone", Comparison(0, MASKED, flag, flag))
        forbidden.rule(ERRNO | EPERM, "unshare", Comparison(0, MASKED, flag, flag))
    forbidden.rule(ERRNO | ENOSYS, "clone3")
    forbidden.rule(ERRNO | EPERM, "setns")
    for policy in REAL_TIME:
        forbidden.rule(ERRNO | EPERM, "sched_setscheduler", Comparison(1, EQUAL, policy, 0))
    for bit in SUID_SGID:
        for name, place in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("mkdir", 1)):
            forbidden.rule(ERRNO | EPERM, name, Comparison(place, MASKED, bit, bit))
    forbidden.rule(ERRNO | EPERM, "personality", Comparison(0, NOT_EQUAL, 0, 0))
    forbidden.load()
    let_through = Filter(ERRNO | EPERM)
    for name in calls:
        let_through.rule(ALLOW, name)
    let_through.load()


def main() -> None:
    """Confine this process and become the command."""
    path, user, state, command = (
        Path(sys.argv[1]),
        int(sys.argv[2]),
        Path(sys.argv[3]),
        sys.argv[4:],
    )
    said = unit(path)
    code = Path(__file__).resolve().parent.parent
    needed = {code, Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()}
    kept = [path for path in needed if not needed & set(path.parents) and path != Path("/usr")]
    confine_files(said, state, kept)
    for name in ("NOFILE", "CORE"):
        amount = int(said[f"Limit{name}"][0])
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (amount, amount))
    os.umask(int(said["UMask"][0], 8))
    os.environ.update(pair.split("=", 1) for pair in said["Environment"] if "DATA_DIR" not in pair)
    become(user, said["SupplementaryGroups"])
    confine_calls(said)
    os.chdir(state)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
