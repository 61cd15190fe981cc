"""Keeps one Postgres running for as long as somebody uses it, and not a moment longer.

`embedded.py` runs this file as a plain script, in a session of its own; nothing imports it. It knows the standard
library only, and little of that, because people wait for it.

Whoever uses the server holds a shared lock on `users.lock`. Getting that lock exclusively means that nobody is left,
however they went. `keeper.lock` arrives as an open, locked descriptor, names the running postmaster, and is free when
this process is gone. Whatever goes wrong is written to standard error, which is the server's log.
"""

import ctypes
import fcntl
import os
import pwd
import signal
import sys
import time
from pathlib import Path

LINUX = sys.platform == "linux"
POLL_SECONDS = 0.05
RESTART_SECONDS = (0.05, 1.0)  # first and longest pause before a postmaster that went away is started again
STOPPING = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))  # with the seconds each is given
TERMINAL_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# What Postgres says when an earlier server of this cluster is still on its way out: worth another try.
LEFTOVERS = (b"pre-existing shared memory block", b"already exists")
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, CLONE_NEWUSER = 1, 36, 0x10000000


class Refused(Exception):
    """Postgres cannot be started here."""


class Keeper:
    """One cluster, the command that serves it, and the two locks as open descriptors."""

    def __init__(self, cluster: Path, command: list[str], lock: int, users: int) -> None:
        self.cluster, self.command, self.lock, self.users = cluster, command, lock, users

    def create_cluster(self) -> None:
        """Makes the cluster beside its place and moves it there when it is whole and on disk."""
        new = self.cluster.with_name("cluster.new")
        postgres, initdb = self.command[0], str(Path(self.command[0]).with_name("initdb"))
        locale = ["--locale=C.UTF-8"] if LINUX else ["--locale=C", "--lc-ctype=en_US.UTF-8"]  # what every macOS knows
        run([initdb, "-A", "trust", "-U", "postgres", "-E", "UTF8", *locale, "--no-sync", "-D", str(new)])
        single = ["--single", "-D", str(new), "-c", "fsync=off", "-c", "exit_on_error=on", "-c", "log_checkpoints=off"]
        run([postgres, *single, "template1"], b"create database switchboard\n")
        run([initdb, "--sync-only", *(["--sync-method=syncfs"] if LINUX else []), "-D", str(new)])
        new.rename(self.cluster)
        parent = os.open(self.cluster.parent, os.O_RDONLY)
        os.fsync(parent)
        os.close(parent)

    def keep(self) -> None:
        """Runs Postgres until nobody uses it. Raises `Refused` if it does not start the first time."""
        served, pause = False, RESTART_SECONDS[0]
        while True:
            mark, ready = os.fstat(2).st_size, False
            postmaster = launch(self.command, dies_with_us=signal.SIGINT)  # a fast shutdown, as at a normal end
            os.pwrite(self.lock, f"{postmaster}\n".encode(), 0)
            while (ended := os.waitpid(postmaster, os.WNOHANG)) == (0, 0):
                if self._nobody_left():
                    self._stop(postmaster)
                    return
                ready = ready or self._is_ready(postmaster)
                time.sleep(POLL_SECONDS)
            os.ftruncate(self.lock, 0)
            end_orphans()
            served, said = served or ready, os.pread(2, 65536, mark)
            failed = os.waitstatus_to_exitcode(ended[1]) > 0
            if failed and not served and not any(text in said for text in LEFTOVERS):
                raise Refused("Postgres ended while it was starting")
            time.sleep(pause := RESTART_SECONDS[0] if ready else min(pause * 2, RESTART_SECONDS[1]))

    def _is_ready(self, postmaster: int) -> bool:
        try:
            lines = (self.cluster / "postmaster.pid").read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0] == str(postmaster) and lines[7].strip() == "ready"

    def _nobody_left(self) -> bool:
        try:
            fcntl.flock(self.users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _stop(self, postmaster: int) -> None:
        os.ftruncate(self.lock, 0)
        for number, seconds in STOPPING:
            os.kill(postmaster, number)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                if os.waitpid(postmaster, os.WNOHANG) != (0, 0):
                    end_orphans()
                    return
                time.sleep(0.005)


def end_orphans() -> None:
    """Ends what a killed postmaster left: while one of its processes holds the shared memory, no other can start."""
    # They are ours because we are their subreaper; elsewhere than on Linux they notice by themselves, in time.
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while children.exists() and (pids := children.read_text().split()):
        for pid in map(int, pids):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def launch(command: list[str], *, dies_with_us: int, standard_input: int = 0) -> int:
    """Starts a program that writes to the log and gets the signal ``dies_with_us`` when we die. Returns its pid."""
    keeper = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        for number in (*TERMINAL_SIGNALS, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(standard_input, 0)
        if LINUX:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(dies_with_us))
        if os.getppid() == keeper:  # else we were left before that took effect
            os.execv(command[0], command)  # noqa: S606  (a program of the wheel by its full path: no shell is the point)
    except OSError as error:
        sys.stderr.write(f"keeper: {command[0]}: {error.strerror}\n")
    finally:
        os._exit(127)


def run(command: list[str], text: bytes = b"") -> None:
    """Runs a program to its end with ``text`` as its input. Raises `Refused` when it fails."""
    reader, writer = os.pipe()
    child = launch(command, dies_with_us=signal.SIGKILL, standard_input=reader)
    os.close(reader)
    os.write(writer, text)
    os.close(writer)
    if os.waitpid(child, 0)[1]:
        raise Refused(f"{Path(command[0]).name} could not make a new cluster")


class Identity:
    """Whom to be: ids as seen from outside, and for a user namespace the account to look like in there."""

    def __init__(self, uid: int, gid: int, seen_as: pwd.struct_passwd | None = None) -> None:
        self.uid, self.gid, self.seen_as = uid, gid, seen_as

    def become(self) -> None:
        """Takes on the identity for good. Raises `OSError`."""
        if self.seen_as is None:
            os.initgroups(pwd.getpwuid(self.uid).pw_name, self.gid)
            os.setgid(self.gid)
            os.setuid(self.uid)
            return
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER):
            raise OSError(ctypes.get_errno(), "a user namespace was refused")
        # The order is the kernel's: https://man7.org/linux/man-pages/man7/user_namespaces.7.html
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{self.seen_as.pw_uid} {self.uid} 1")
        Path("/proc/self/gid_map").write_text(f"{self.seen_as.pw_gid} {self.gid} 1")

    def reaches(self, *places: Path) -> bool:
        """Whether we may become that and would then pass to these places; tried in a process of its own."""
        child = os.fork()
        if child:
            return os.waitpid(child, 0)[1] == 0
        try:
            self.become()
            os._exit(0 if all(os.access(place, os.X_OK) for place in places) else 1)
        finally:
            os._exit(1)


def become_ordinary(folder: Path, sockets: Path, program: Path, *, namespace: bool) -> None:
    """Postgres refuses to run as root, so a keeper started by root stops being it. Raises `Refused` if it cannot.

    A folder that is somebody's is served as that person. In root's own, a user namespace makes root an ordinary user
    without changing anybody's rights to anything; where that is forbidden, as in many containers, the folder is given
    to an account without rights.
    """
    for identity in identities(folder, namespace=namespace):
        if identity.reaches(program, folder.parent, sockets.parent):
            for place in (folder, sockets):
                give(place, identity)
            identity.become()
            return
    raise Refused(
        f"may not pass: no account that Postgres accepts gets to both {folder} and {program}, and it refuses root"
    )


def identities(folder: Path, *, namespace: bool) -> list[Identity]:
    """Whom root may be for this folder, best first."""
    owner = account(folder.stat().st_uid)
    if owner and owner.pw_uid:
        return [Identity(owner.pw_uid, owner.pw_gid)]
    plain = [entry for entry in map(account, ("postgres", "nobody")) if entry]
    # initdb asks for the name of the user it runs as, hence an account with a name in the namespace.
    as_root = [Identity(0, 0, seen_as) for seen_as in plain[:1] if LINUX and namespace]
    return as_root + [Identity(entry.pw_uid, entry.pw_gid) for entry in plain]


def account(key: int | str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(key) if isinstance(key, int) else pwd.getpwnam(key)
    except KeyError:
        return None


def give(folder: Path, identity: Identity) -> None:
    """Makes a folder and what is in it somebody's; the folder last, so that an interrupted change is begun again."""
    if folder.stat().st_uid == identity.uid:
        return
    for _, folders, files, place in os.fwalk(folder, topdown=False):
        for name in folders + files:
            os.chown(name, identity.uid, identity.gid, dir_fd=place, follow_symlinks=False)
    os.chown(folder, identity.uid, identity.gid)


def main(arguments: list[str]) -> int:
    """`keeper.py FOLDER SOCKETS LOCK namespace|account POSTGRES ARGUMENT...`; the first process ends at once."""
    folder, sockets, lock, way, *command = arguments
    if os.fork():
        return 0
    for number in TERMINAL_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    os.set_inheritable(int(lock), False)
    os.chdir("/")
    try:
        users = os.open(Path(folder, "users.lock"), os.O_RDWR)
        if LINUX:
            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1))
        if os.geteuid() == 0:
            become_ordinary(Path(folder), Path(sockets), Path(command[0]), namespace=way == "namespace")
        keeper = Keeper(Path(folder, "cluster"), command, int(lock), users)
        if not keeper.cluster.exists():
            keeper.create_cluster()
        keeper.keep()
    except (Refused, OSError) as error:
        sys.stderr.write(f"keeper: {error}\n")
        return 1
    finally:
        if sockets != folder:
            Path(sockets).rmdir()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
