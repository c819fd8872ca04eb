"""Minutes and memory of the test suite.

    python benchmarks/suite.py [PYTEST-ARGUMENT]... [--interval 0.2]

Runs `python -m pytest` with these arguments (none: what `make test` runs) and samples all of its processes, children
that outlive their parents included. Memory is their proportional set size (PSS, Linux: pages that several processes
share are divided among them), added up. Printed: minutes, CPU minutes, tests by outcome, skips by reason, the peak of
memory with the processes of that moment, and the processes that were ever largest. Exits as pytest does.
"""

from __future__ import annotations

import argparse
import collections
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

_MIB = 1 << 20
_NUM_LARGEST = 8
_PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A process at one moment."""

    process_id: int
    started: str
    """Ticks since the machine started: a number that is used again is another process."""
    text: str
    """The test that started it, where a test did, and its command line."""
    pss_bytes: int
    peak_rss_bytes: int
    """The largest resident set that it ever had, shared pages included."""


@dataclass
class Watch:
    """Processes below one, sampled again and again."""

    root_id: int
    peak: list[Process] = field(default_factory=list)
    largest: dict[tuple[int, str], Process] = field(default_factory=dict)
    _known: dict[int, str] = field(default_factory=dict)

    def sample(self) -> None:
        """Look at all of them now."""
        now = [process for each in self._members() if (process := _look_at(each, self._known[each]))]
        if _total(now) > _total(self.peak):
            self.peak = now
        for process in now:
            self.largest[process.process_id, process.started] = process

    def _members(self) -> set[int]:
        """Below the root, or once seen there: what outlives its parent is handed to another."""
        parents: dict[int, int] = {}
        started: dict[int, str] = {}
        for entry in _PROC.iterdir():
            if entry.name.isdigit() and (words := _stat(int(entry.name))):
                parents[int(entry.name)], started[int(entry.name)] = int(words[1]), words[19]
        members = {each for each, when in self._known.items() if started.get(each) == when} | {self.root_id}
        grown = True
        while grown:
            below = {each for each, parent in parents.items() if parent in members} - members
            members, grown = members | below, bool(below)
        self._known = {each: started[each] for each in members if each in started}
        return set(self._known)


def main() -> None:
    """Run the tests and print what they took."""
    parser = argparse.ArgumentParser(description="Minutes and memory of the test suite.")
    parser.add_argument("--interval", type=float, default=0.2, help="seconds between two samples")
    arguments, for_pytest = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.xml"
        begun, used = time.monotonic(), _cpu_seconds()
        run = subprocess.Popen([sys.executable, "-m", "pytest", f"--junit-xml={results}", *for_pytest])
        watch = Watch(run.pid)
        while run.poll() is None:
            watch.sample()
            time.sleep(arguments.interval)
        minutes, cpu_minutes = (time.monotonic() - begun) / 60, (_cpu_seconds() - used) / 60
        print(f"\n{minutes:.1f} minutes, {cpu_minutes:.1f} CPU minutes on {os.cpu_count()} cores")
        if results.exists():
            print_tests(ElementTree.parse(results).getroot())
    print_memory(watch)
    sys.exit(run.returncode)


def print_tests(results: ElementTree.Element) -> None:
    """How many tests ran, and why others did not."""
    cases = list(results.iter("testcase"))
    outcomes = collections.Counter(next((each.tag for each in case if each.tag in _OUTCOMES), "") for case in cases)
    counts = ", ".join(f"{outcomes[tag]} {word}" for tag, word in _OUTCOMES.items() if outcomes[tag])
    print(f"{len(cases)} tests: {counts}")
    reasons = collections.Counter(skip.get("message", "") for skip in results.iter("skipped"))
    for reason, count in reasons.most_common():
        print(f"  {count} skipped: {reason}")


_OUTCOMES = {"": "passed", "failure": "failed", "error": "in error", "skipped": "skipped"}


def print_memory(watch: Watch) -> None:
    """The peak of all together, and the largest processes."""
    print(f"peak memory of all processes together: {_total(watch.peak) / _MIB:.0f} MiB (PSS)")
    for process in sorted(watch.peak, key=lambda each: -each.pss_bytes):
        if process.pss_bytes > 20 * _MIB:
            print(f"  {process.pss_bytes / _MIB:6.0f} MiB  {process.text}")
    print("largest processes (peak RSS):")
    for process in sorted(watch.largest.values(), key=lambda each: -each.peak_rss_bytes)[:_NUM_LARGEST]:
        print(f"  {process.peak_rss_bytes / _MIB:6.0f} MiB  {process.text}")


def _total(processes: list[Process]) -> int:
    return sum(process.pss_bytes for process in processes)


def _stat(process_id: int) -> list[str] | None:
    """The fields of /proc/ID/stat after the name, None of a process that is no more."""
    try:
        return (_PROC / str(process_id) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _look_at(process_id: int, started: str) -> Process | None:
    folder = _PROC / str(process_id)
    try:
        pss = _kib_after("Pss:", (folder / "smaps_rollup").read_text())
        peak_rss = _kib_after("VmHWM:", (folder / "status").read_text())
        command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        environment = (folder / "environ").read_bytes().split(b"\0")
    except (OSError, ValueError):  # it has ended, or is about to: without memory
        return None
    tests = [each.partition(b"=")[2].decode() for each in environment if each.startswith(b"PYTEST_CURRENT_TEST=")]
    return Process(process_id, started, " ".join([*tests, " ".join(command.split())[:100]]), pss << 10, peak_rss << 10)


def _kib_after(name: str, text: str) -> int:
    return int(text[text.index(name) + len(name) :].split(maxsplit=1)[0])


def _cpu_seconds() -> float:
    """Of all children that have ended and were waited for."""
    times = os.times()
    return times.children_user + times.children_system


if __name__ == "__main__":
    main()
