"""Makes the page of benches/hub.sh from the lines of its measurements."""

import json
import statistics
import sys

AIMS = [
    # title, measurement, field, unit and digits, factor, aim
    ("resident memory per idle subscriber, 5,000", "idle 5000", "bytes_per_subscriber", "kB", 1e-3, ("at most", 3.0)),
    ("server CPU per delivered event, 1,000 subscribers, lockstep", "lockstep 1000 8", "server_us_per_event", "µs", 1, ("times nchan, at most", 0.6)),
    ("server CPU per delivered event, 1,000 subscribers, 20/s", "paced 1000 20 8", "server_us_per_event", "µs", 1, ("times nchan, at most", 0.6)),
    ("server CPU per delivered event, 100 subscribers, lockstep", "lockstep 100 8", "server_us_per_event", "µs", 1, ("times nchan, at most", 0.6)),
    ("events per second, 100 subscribers, lockstep", "lockstep 100 8", "delivered_per_s", "k/s", 1e-3, ("times nchan, at least", 1.3)),
    ("events per second, 1,000 subscribers, lockstep", "lockstep 1000 8", "delivered_per_s", "k/s", 1e-3, ("times nchan, at least", 1.3)),
    ("median latency, 1,000 subscribers, 20/s", "paced 1000 20 8", "late_us_p50", "ms", 1e-3, None),
    ("99th percentile of latency, 1,000 subscribers, 20/s", "paced 1000 20 8", "late_us_p99", "ms", 1e-3, ("times nchan, at most", 0.7)),
    ("50 readers that never read, 500 × 20 kB: memory gained", "stalled 50", "grown_bytes", "MB", 1e-6, ("at most", 2.0)),
    ("publish latency, median, without them", "stalled 50", "publish_us_p50_without", "ms", 1e-3, None),
    ("publish latency, median, with them", "stalled 50", "publish_us_p50", "ms", 1e-3, None),
]


def main(path: str, rounds: str) -> None:
    found: dict[tuple[str, str], list[dict]] = {}
    once = {}
    for line in open(path, encoding="utf-8"):
        name, what, text = line.rstrip("\n").split("\t")
        if name == "once":
            once[int(what)] = int(text)
        else:
            found.setdefault((name, what), []).append(json.loads(text))

    def median(name: str, what: str, field: str) -> float:
        return statistics.median(line[field] for line in found[name, what])

    print(f"""# What a subscriber costs

Written by `benches/hub.sh`: medians of {rounds} rounds on one machine, the server on one processor and the load
generator on another, the hub example beside nginx with Debian's nchan in each round, HTTP/1.1 on loopback.
Documents of 200 B of which everything changes each time: nchan sends them, the hub patches of 270 B. `bare` is a
program that sends the same as the hub by one system call for each subscriber, and does nothing else. Times depend on
what else the machine did; columns beside one another met the same.

| what | hub | nchan | bare | hub / nchan | bare / nchan | aim |
|---|---|---|---|---|---|---|""")
    for title, what, field, unit, factor, aim in AIMS:
        hub, nchan = (median(name, what, field) * factor for name in ("hub", "nchan"))
        ratio = hub / nchan if nchan else float("nan")
        told, bare, least = "–", "–", "–"
        if ("bare", what) in found:
            value = median("bare", what, field) * factor
            bare, least = f"{value:.3g} {unit}", f"{value / nchan:.2f}"
        if aim:
            kind, bound = aim
            value = ratio if "nchan" in kind else hub
            met = value >= bound if "least" in kind else value <= bound
            told = f"{kind} {bound:g}{' ' + unit if 'nchan' not in kind else ''}: {'met' if met else 'missed'}"
        print(f"| {title} | {hub:.3g} {unit} | {nchan:.3g} {unit} | {bare} | {ratio:.2f} | {least} | {told} |")
    share = 100 * median("hub", "wire", "share")
    print(f"| bytes on the wire, 100 quotes of which 10 change, of the documents' | {share:.1f} % | – | – | – | – | at most 21 %: {'met' if share <= 21 else 'missed'} |")
    more = 100 * (once[1000] / once[1] - 1)
    print(f"| instructions to find and write a change, 1,000 subscribers against 1 | {more:+.1f} % | – | – | – | – | within 10 %: {'met' if abs(more) <= 10 else 'missed'} |")
    busy = max(line["generator_busy"] for (_, what), lines in found.items() if "p" in what for line in lines if "generator_busy" in line)
    print(f"""
The load generator kept its processor at most {100 * busy:.0f} % busy. The server's CPU is that of the whole process. What
`bare` takes is the system's part of one `send` for each event and subscriber, on loopback with what receiving costs
the system: no server that sends to its subscribers one by one can take less, whatever it is written in.""")


main(*sys.argv[1:])
