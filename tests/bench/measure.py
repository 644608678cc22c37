"""Runs commands in turn and prints what they took, as a Markdown table.

Wall clock is the median, and the best of all runs beside it, which a busy
machine disturbs least; both ratios are to the group's first line. CPU is user and system time of the command and all
its children on this machine, and memory the largest of these processes.
Round trips are what a delay adds: the best run through the relay, less the
best without it, divided by the relay's delay.
"""

import os
import statistics
import subprocess
import sys
import time


def main():
    cases_file, rtt = sys.argv[1], int(sys.argv[2]) / 1000
    work = os.path.dirname(cases_file)
    with open(cases_file) as lines:
        cases = [line.rstrip("\n").split("|", 3) for line in lines]
    samples = {index: [] for index in range(len(cases))}
    for turn in range(max(int(runs) for _, _, runs, _ in cases)):
        for index, (group, name, runs, command) in enumerate(cases):
            if turn < int(runs):
                samples[index].append(measure(command, work, f"{group}, {name}"))
    taken = [summary(samples[index]) for index in range(len(cases))]
    show(cases, taken, rtt)


def measure(command, directory, name):
    with open(os.path.join(directory, "output"), "wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            ["/bin/bash", "-c", command],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        with open(os.path.join(directory, "output")) as output:
            sys.exit(f"{name}: exit code {process.returncode}\n{output.read()}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def summary(samples):
    best = min(wall for wall, _, _ in samples)
    return [statistics.median(column) for column in zip(*samples)] + [best]


def show(cases, taken, rtt):
    near = {case[1]: t[3] for case, t in zip(cases, taken) if case[0] == "1 host, SSH"}
    far = {case[1]: t[3] for case, t in zip(cases, taken) if case[0] == "relay"}
    print("| hosts | what | runs | median | ratio | best | ratio | CPU | memory | round trips |")
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    last = None
    for (group, name, runs, _), (wall, cpu, memory, best) in zip(cases, taken):
        if group == "relay":
            continue
        if group != last:
            first, first_best, last = wall, best, group
        trips = ""
        if group == "1 host, SSH" and name in far:
            trips = f"{(far[name] - near[name]) / rtt:.1f}"
        print(
            f"| {group} | {name} | {runs} | {wall * 1000:.0f} ms | {wall / first:.2f} "
            f"| {best * 1000:.0f} ms | {best / first_best:.2f} "
            f"| {cpu * 1000:.0f} ms | {memory:.0f} MB | {trips} |"
        )


main()
