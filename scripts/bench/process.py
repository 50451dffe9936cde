"""Runs a program and says what it took."""
import dataclasses
import os
import pathlib
import subprocess
import threading
import time


@dataclasses.dataclass
class Usage:
    wall_s: float
    cpu_s: float      # user and system, of the process and its children
    peak_bytes: int   # peak resident set, as the kernel counts it
    own_bytes: int    # peak of anonymous and shared memory, without pages of mapped files; sampled


def sample_own_memory(pid, peak, stop):
    while not stop.wait(0.02):
        try:
            fields = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status") if line.startswith("Rss"))
        except OSError:
            return
        own = sum(int(fields[name].split()[0]) for name in ("RssAnon", "RssShmem") if name in fields)
        peak[0] = max(peak[0], own * 1024)


def measure(command, log):
    """Usage of a command; its output goes to the file `log`. SystemExit when it fails."""
    peak, stop = [0], threading.Event()
    with open(log, "wb") as out:
        begin = time.perf_counter()
        child = subprocess.Popen([os.fspath(part) for part in command], stdout=out, stderr=out)
        sampler = threading.Thread(target=sample_own_memory, args=(child.pid, peak, stop))
        sampler.start()
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - begin
    stop.set()
    sampler.join()
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        tail = "\n".join(pathlib.Path(log).read_text(errors="replace").splitlines()[-5:])
        raise SystemExit(f"{command[0]} failed with {child.returncode}:\n{tail}")
    return Usage(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, peak[0])
