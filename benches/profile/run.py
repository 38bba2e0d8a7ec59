#!/usr/bin/env python3
"""Says where a hit's time goes, and what it writes to memory that threads may share.

run.py BREADBOX DIRECTORY [flame | count]: one hot page of 16 KiB over HTTP/1.1, Breadbox with one thread on a core of its own, `wrk` on
another. Three parts:

- A flame graph, DIRECTORY/hit.svg, of samples by the clock (perf, with its call graphs from the program's unwind tables),
  and their shares by part of the work.
- Instructions of a hit by part of the work, without the kernel's (valgrind's callgrind, one connection).
- Every locked instruction that a hit executes, by function: what it costs to share memory, whether anybody shares it or not.

A machine without counters in hardware samples by a timer that waits while interrupts are off, so the kernel's shares are
rough where it holds locks. Instructions are exact. BREADBOX needs its symbols, which the release build has.
"""

import collections
import http.server
import os
import re
import socket
import subprocess
import sys
import threading
import time

from parts import part_of

SECONDS = 5
ASKS = 5000
PAGE = b"".join(b"<p>A loaf of number %d, baked with care.</p>\n" % n for n in range(1000))[: 16 * 1024]


class Origin(http.server.BaseHTTPRequestHandler):
    """Answers everything with 16 KiB of HTML."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(PAGE)))
        self.send_header("ETag", '"v1"')
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Breadbox:
    """A running one, behind whatever is in front of its command."""

    def __init__(self, before, binary, directory, origin):
        self.port = free_port()
        config = os.path.join(directory, "proxy.yaml")
        with open(config, "w") as file:
            file.write(
                "threads: 1\nhosts: [ bench.test ]\n"
                f'listeners: [ {{ address: "127.0.0.1:{self.port}" }} ]\nadmin: {{ address: "127.0.0.1:{free_port()}" }}\n'
                f'origins: {{ web: {{ servers: [ "http://127.0.0.1:{origin}" ] }} }}\n'
                'routes: [ { match: "/{*rest}", cache: isr, revalidate: 1h } ]\n'
            )
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        environment = dict(os.environ, BREADBOX_LOG="warn")
        self.process = subprocess.Popen([*before, binary, "run", "--config", config], env=environment, **quiet)

    def connect(self):
        for _ in range(600):
            try:
                return socket.create_connection(("127.0.0.1", self.port))
            except ConnectionRefusedError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        sys.exit("Breadbox does not listen")

    def ask(self, connection, times):
        for _ in range(times):
            connection.sendall(b"GET /hot/page HTTP/1.1\r\nHost: bench.test\r\n\r\n")
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += connection.recv(65536)
            head, _, body = answer.partition(b"\r\n\r\n")
            length = int(re.search(rb"content-length: (\d+)", head.lower()).group(1))
            while len(body) < length:
                body += connection.recv(65536)

    def end(self):
        self.process.terminate()
        self.process.wait()


def table(title, counts, unit, total):
    digits = 2 if total < 1000 else 0
    print(f"\n## {title}\n\n| part | {unit} | % |\n|---|---:|---:|")
    for name, count in counts.most_common():
        if count >= total / 1000:
            print(f"| {name} | {count:.{digits}f} | {100 * count / total:.1f} |")
    print(f"| all | {total:.{digits}f} | 100 |")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def flame(binary, directory, origin):
    breadbox = Breadbox(["taskset", "-c", "0"], binary, directory, origin)
    breadbox.ask(breadbox.connect(), 100)
    load = ["taskset", "-c", "1", "wrk", "-t1", "-c32", "-H", "Host: bench.test"]
    url = f"http://127.0.0.1:{breadbox.port}/hot/page"
    subprocess.run([*load, "-d1s", url], stdout=subprocess.DEVNULL, check=True)
    data, folded = os.path.join(directory, "perf.data"), os.path.join(directory, "hit.folded")
    record = ["perf", "record", "-q", "-e", "cpu-clock", "-F", "999", "--call-graph", "dwarf,4096", "-o", data]
    before = cpu_seconds(breadbox.process.pid)
    sampler = subprocess.Popen([*record, "-p", str(breadbox.process.pid), "--", "sleep", str(SECONDS)])
    answer = subprocess.run([*load, f"-d{SECONDS}s", url], stdout=subprocess.PIPE, text=True, check=True).stdout
    sampler.wait()
    requests = int(re.search(r"(\d+) requests in", answer).group(1))
    each = (cpu_seconds(breadbox.process.pid) - before) * 1e6 / requests
    breadbox.end()
    script = subprocess.Popen(["perf", "script", "--no-inline", "-i", data], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with open(folded, "wb") as file:
        subprocess.run(["inferno-collapse-perf"], stdin=script.stdout, stdout=file, check=True)
    os.remove(data)
    with open(os.path.join(directory, "hit.svg"), "wb") as file:
        title = ["--title", "A hit of 16 KiB over HTTP/1.1", "--subtitle", os.path.basename(binary)]
        subprocess.run(["inferno-flamegraph", *title, folded], stdout=file, check=True)
    counts = collections.Counter()
    for line in open(folded):
        stack, _, samples = line.rpartition(" ")
        counts[part_of(stack.split(";"))] += int(samples)
    total = sum(counts.values())
    micros = collections.Counter({part: each * samples / total for part, samples in counts.items()})
    table(f"Time of a hit, of {requests} over 32 connections", micros, "µs", each)
    print(f"\nThe flame graph is {directory}/hit.svg.")


def count(binary, directory, origin):
    out = os.path.join(directory, "callgrind")
    valgrind = ["valgrind", "--tool=callgrind", "--dump-instr=yes", f"--callgrind-out-file={out}"]
    breadbox = Breadbox(valgrind, binary, directory, origin)
    # Its page is where pages in demand are, its codings are made. A connection that has brought a miss has been
    # pingora's, and costs more from then on.
    breadbox.ask(breadbox.connect(), 2000)
    time.sleep(2)
    connection = breadbox.connect()
    breadbox.ask(connection, 500)
    control = lambda flag: subprocess.run(
        ["callgrind_control", flag, str(breadbox.process.pid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    control("-z")
    breadbox.ask(connection, ASKS)
    control("-d")
    breadbox.process.kill()
    breadbox.process.wait()
    costs = read_counts(out + ".1")
    parts = collections.Counter()
    for (_, _, function), executed in costs.items():
        parts[part_of([function])] += executed / ASKS
    table("Instructions of a hit, without the kernel's", parts, "instructions", sum(parts.values()))
    locked(costs)


def read_counts(path):
    """Executions by object, address and function; callgrind abbreviates names and addresses."""
    names, objects, costs = {}, {}, collections.Counter()
    function = thing = None
    address, is_call = 0, False

    def full(known, text):
        number, _, name = text.partition(" ")
        if name:
            known[number] = name
        return known.get(number, "?")

    for line in open(path):
        line = line.rstrip("\n")
        if line.startswith("fn="):
            function = full(names, line[3:])
        elif line.startswith("cfn="):
            full(names, line[4:])
        elif line.startswith("ob="):
            thing = full(objects, line[3:])
        elif line.startswith("cob="):
            full(objects, line[4:])
        elif line.startswith("calls="):
            is_call = True
        elif line and line[0] in "0123456789+-*" and len(words := line.split()) >= 3:
            step = words[0]
            if step[0] in "+-":
                address += int(step, 0)
            elif step != "*":
                address = int(step, 16)
            if not is_call:
                costs[thing, address, function] += int(words[2])
            is_call = False
    return costs


LOCKED = re.compile(r"^\s+([0-9a-f]+):\s+(lock \S+.*|xchg\s+%\w+,.*\(.*|xchg\s+.*\(.*\),%.*)$", re.M)


def locked(costs):
    """An exchange with memory is locked without saying so."""
    print("\n## Locked instructions of a hit\n\n| times | function | instruction |\n|---:|---|---|")
    total = 0
    for thing in {thing for thing, _, _ in costs if thing and os.path.exists(thing)}:
        listing = subprocess.run(["objdump", "-d", "--no-show-raw-insn", thing], capture_output=True, text=True).stdout
        found = {int(match[1], 16): match[2] for match in LOCKED.finditer(listing)}
        for (other, address, function), executed in costs.most_common():
            if other == thing and address in found and executed / ASKS >= 0.01:
                text = re.sub(r"\s+", " ", found[address]).strip()
                print(f"| {executed / ASKS:.2f} | `{function[:100]}` | `{text}` |")
                total += executed / ASKS
    print(f"| {total:.2f} | all | |")


def main():
    binary, directory = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    os.makedirs(directory, exist_ok=True)
    origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    threading.Thread(target=origin.serve_forever, daemon=True).start()
    print(f"# {os.path.basename(binary)}: a hit of 16 KiB over HTTP/1.1")
    wanted = sys.argv[3:] or ["flame", "count"]
    if os.cpu_count() == 1:
        print("\nThere is one core only: nothing is sampled.")
    elif "flame" in wanted:
        flame(binary, directory, origin.server_port)
    if "count" in wanted:
        count(binary, directory, origin.server_port)


main()
