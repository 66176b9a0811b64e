"""Becomes another program as an ordinary user, bound to the life of whoever started it.

Run as a script (``python -I -S launch.py UID GID SIGNAL PARENT PROGRAM ARG...``), never imported.
A process of its own, so that nothing runs between fork and exec in a process full of
threads. The order matters: the kernel forgets the death signal when the user changes, so it
is asked for after ``setuid``; and the parent may die before it is asked for, so that is
checked last.

* ``SIGNAL`` is sent to the program when the *thread* that started it ends (prctl(2),
  PR_SET_PDEATHSIG; Linux only). 0: none.
* ``PROGRAM`` ``--reach`` runs nothing: exit 0 if the user can enter each ARG, else 13.

Exit codes of its own: 13 unreachable, 126 the program cannot be executed, 125 parent gone.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> int:
    """Drops to UID:GID (when started by root), binds to the parent, becomes PROGRAM."""
    uid, gid, death_signal, parent = (int(number) for number in argv[:4])
    program, arguments = argv[4], argv[5:]
    libc = ctypes.CDLL(None, use_errno=True)  # loaded before the user changes: it may be out of reach then
    if os.geteuid() == 0 and uid != 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    os.umask(0o077)
    os.chdir("/")
    if program == "--reach":
        return 0 if all(os.access(path, os.X_OK) for path in arguments) else 13
    if death_signal and sys.platform == "linux":
        if libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
            print("prctl(PR_SET_PDEATHSIG):", os.strerror(ctypes.get_errno()), file=sys.stderr)  # noqa: T201
            return 125
        if os.getppid() != parent:
            return 125
    try:
        os.execv(program, [program, *arguments])  # noqa: S606  # no shell is the point
    except OSError as error:
        print(f"{program}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 13 if isinstance(error, PermissionError) else 126


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
