"""How long a process has waited for a processor, as Linux tells it."""

from pathlib import Path
from typing import NamedTuple


class Schedule(NamedTuple):
    """What the kernel says of a process's main thread (proc_pid_stat, proc_pid_schedstat)."""

    # ran, waited: seconds on a processor, and in which it could have run but others did, until it last began to run
    ran: float = 0.0
    waited: float = 0.0
    ready: bool = False  # whether it runs or could run

    @classmethod
    def of(cls, pid: int) -> "Schedule":
        """Of a process; nothing where this is not Linux, or the process has ended."""
        try:
            ran, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, ValueError, IndexError):
            return cls()
        return cls(int(ran) / 1e9, int(waited) / 1e9, state == "R")

    def waited_s(self, before: "Schedule", seconds: float) -> float:
        """Of the seconds since then those that it waited for a processor; one that is ready has not slept.

        >>> Schedule(ran=1.25, ready=True).waited_s(Schedule(ran=1.0), 0.5), Schedule().waited_s(Schedule(), 0.5)
        (0.25, 0.0)
        """
        return seconds - (self.ran - before.ran) if self.ready else self.waited - before.waited
