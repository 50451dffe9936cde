#!/usr/bin/env python3
"""gpu_check_compare.py CPU.json DEVICE.json: whether two reports of one sweep have the same scores.

Prints a line with what was compared; ends with 0 when all scores are equal within TOLERANCE, else with 1. A score is a
share of some hundred items. Devices round sums differently, so an item on the edge between two classes may fall
to either side: one or two of them do not count.
"""
import json
import sys

TOLERANCE = 0.01


def scores(path):
    found = {}
    for row in json.load(open(path))["rows"]:
        for metric, tasks in row["tasks"].items():
            for task in tasks:
                found[row["name"], metric, task["set"], task["task"]] = task["value"]
    return found


def main():
    cpu, device = scores(sys.argv[1]), scores(sys.argv[2])
    if not cpu or cpu.keys() != device.keys():
        print(f"{len(cpu)} scores of the CPU, {len(device)} of the device: not those of the same rows")
        return 1
    worst = max(cpu, key=lambda key: abs(cpu[key] - device[key]))
    difference = abs(cpu[worst] - device[worst])
    rows = len({key[0] for key in cpu})
    print(f"{len(cpu)} scores of {rows} rows, largest difference {difference:.4f}" + (f" ({worst[0]}, {worst[3]})" if difference else ""))
    return 0 if difference <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
