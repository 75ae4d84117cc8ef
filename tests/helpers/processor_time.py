"""Time that a busy machine does not stretch: that of processors, in all processes that a test has started."""

import psutil


def spent_by_children() -> float:
    """Seconds of processor time of the processes below this one, of those that have ended as well."""
    spent = sum(psutil.Process().cpu_times()[2:4])
    for process in psutil.Process().children(recursive=True):
        try:
            spent += sum(process.cpu_times()[:4])  # user, system, and both of children that have ended
        except psutil.NoSuchProcess:
            continue
    return spent
