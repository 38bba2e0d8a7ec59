#!/usr/bin/env python3
"""Reloads and upgrades a Breadbox under load, again and again: no request may fail.

run.py BREADBOX [TIMES]: wrk asks on connections that are kept and on a new connection for every request, and h2load and
curl over HTTP/2, all at once, while the configuration is changed TIMES times (20) by SIGHUP, and then the process is
replaced TIMES times by SIGQUIT. Ends with 1 where any of them saw anything but a whole answer of 200, or a scrape of
/metrics was cut.

h2load asks during the reloads alone. A process says goodbye with GOAWAY (RFC 9113 §6.8), and h2load neither sends the
rest on another connection nor waits: a trace of its frames shows every stream that it opened answered, and what it
counts as failed (`-m` for each `-c`) was never sent. Over upgrades `http2.py` asks instead, which follows the RFC.
"""

import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from http2 import Http2

PATIENCE = 60


class Origin(http.server.BaseHTTPRequestHandler):
    """Answers everything with 16 KiB of HTML."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = (b"<p>%s</p>" % self.path.encode()).ljust(16 * 1024, b".")
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self):
        try:
            super().handle()
        except ConnectionError:
            pass  # A process that has been taken over from ended in the middle of a refresh that nobody waited for.

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, holds):
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            sys.exit(f"not within {PATIENCE} s: {what}")
        time.sleep(0.02)


class Curl(threading.Thread):
    """One request after the other over HTTP/2, each on a connection of its own."""

    def __init__(self, url, seconds):
        super().__init__(daemon=True)
        self.url, self.end, self.good, self.troubles = url, time.monotonic() + seconds, 0, []
        self.start()

    def run(self):
        command = ["curl", "--no-progress-meter", "--http2-prior-knowledge", "-w", "%{http_code} %{size_download}\n"]
        while time.monotonic() < self.end:
            asked = subprocess.run(command + ["-o", "/dev/null", self.url], capture_output=True, text=True)
            answers = asked.stdout.split("\n")[:-1]
            self.good += answers.count("200 16384")
            self.troubles += [answer for answer in answers if answer != "200 16384"]
            if asked.returncode:
                self.troubles.append(f"exit {asked.returncode}: {asked.stderr.strip()[-200:]}")


class Load:
    """Everybody who asks, until they are told to stop; what they say is judged then."""

    def __init__(self, url, h2_url, seconds, says_goodbye):
        clients = {
            "wrk, kept connections": ["wrk", "-t1", "-c16", f"-d{seconds}s", url],
            "wrk, a connection for each request": ["wrk", "-t1", "-c4", f"-d{seconds}s", "-H", "Connection: close", url],
        }
        if not says_goodbye:
            clients["h2load, HTTP/2"] = ["h2load", "-t1", "-c4", "-m8", f"-D{seconds}", h2_url]
        self.curl = Curl(h2_url, seconds)
        host, path = re.fullmatch(r"http://([^/]*)(.*)", h2_url).groups()
        name, port = host.split(":")
        self.http2 = [Http2((name, int(port)), path, 16 * 1024, streams=8, seconds=seconds) for _ in range(2)]
        self.clients = {
            name: subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for name, command in clients.items()
        }

    def judge(self):
        self.curl.join()
        print(f"  curl, HTTP/2, a connection for each request: {self.curl.good} requests")
        for trouble in self.curl.troubles[:10]:
            print(f"    {trouble}")
        failed = bool(self.curl.troubles) or not self.curl.good
        for client in self.http2:
            client.join()
            counts = f"{client.good} requests on {client.connections} connections, {client.again} sent again"
            print(f"  RFC 9113 §6.8, eight streams at once: {counts}")
            for trouble in client.troubles[:10]:
                print(f"    {trouble}")
            failed = failed or bool(client.troubles) or not client.good
        for name, client in self.clients.items():
            said = client.communicate(timeout=PATIENCE * 10)[0]
            socket_errors = re.search(r"Socket errors: (.*)", said)
            not_2xx = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
            done = re.search(r"(\d+) requests in|requests: .* (\d+) done, (.*)", said)
            h2 = re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", said)
            bad = bool(socket_errors or not_2xx or (h2 and any(int(n) for n in h2.groups())) or not done)
            failed = failed or bad
            print(f"  {name}: {done.group(0) if done else said}")
            for trouble in filter(None, (socket_errors, not_2xx, h2 if bad else None)):
                print(f"    {trouble.group(0)}")
        return not failed


class Breadbox:
    def __init__(self, binary):
        self.folder = tempfile.mkdtemp(prefix="handover")
        origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
        threading.Thread(target=origin.serve_forever, daemon=True).start()
        self.origin, self.public, self.h2c, self.admin = origin.server_address[1], free_port(), free_port(), free_port()
        self.write(0)
        command = [binary, "run", "--config", os.path.join(self.folder, "proxy.yaml")]
        self.log = open(os.path.join(self.folder, "log"), "w")
        self.pid = subprocess.Popen(command, stderr=self.log, stdout=self.log).pid
        until("it is ready", lambda: self.metric("breadbox_config_generation") is not None)

    def write(self, number):
        beside = os.path.join(self.folder, "new")
        with open(beside, "w") as file:
            file.write(f"""
hosts: [ 127.0.0.1 ]
shutdown_timeout: 30s
upgrade_sock: upgrade.sock
listeners:
  - address: 127.0.0.1:{self.public}
    limits: {{ max_headers: {100 + number} }}
  - {{ address: "127.0.0.1:{self.h2c}", h2c: true }}
admin: {{ address: "127.0.0.1:{self.admin}" }}
store: {{ memory: {64 + number}MiB }}
origins: {{ web: {{ servers: [ "http://127.0.0.1:{self.origin}" ], max_renders: {8 + number} }} }}
routes:
  - {{ match: "/moved/{number}", cache: "off" }}
  - {{ match: "/{{*rest}}", cache: isr, revalidate: 200ms }}
""")
        os.rename(beside, os.path.join(self.folder, "proxy.yaml"))

    def metric(self, name):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            return None
        found = re.search(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)
        return float(found.group(1)) if found else None

    def reload(self, number):
        self.write(number)
        os.kill(self.pid, signal.SIGHUP)
        until(f"reload {number} is taken", lambda: self.metric("breadbox_config_generation") == number + 1)

    def upgrade(self):
        started = self.metric("breadbox_start_time_seconds")
        os.kill(self.pid, signal.SIGQUIT)
        until("a successor serves", lambda: self.metric("breadbox_start_time_seconds") not in (None, started))
        self.pid = self.successor()

    def successor(self):
        with open(self.log.name) as log:
            ids = [line["successor"] for line in map(json.loads, log) if "successor" in line]
        return ids[-1]

    def end(self):
        os.kill(self.pid, signal.SIGTERM)


def main():
    binary, times = os.path.abspath(sys.argv[1]), int((sys.argv[2:] or ["20"])[0])
    breadbox = Breadbox(binary)
    try:
        good = hand_over(breadbox, times)
    finally:
        breadbox.end()
    print("no request failed" if good else f"requests failed; the log is {breadbox.log.name}")
    sys.exit(0 if good else 1)


def hand_over(breadbox, times):
    page, h2_page = f"http://127.0.0.1:{breadbox.public}/page", f"http://127.0.0.1:{breadbox.h2c}/page"
    good = True
    for what, act in (("reloads", breadbox.reload), ("upgrades", lambda _: breadbox.upgrade())):
        load = Load(page, h2_page, seconds=times * 2, says_goodbye=what == "upgrades")
        began = time.monotonic()
        for number in range(1, times + 1):
            act(number)
            time.sleep(max(0, began + number * 1.5 - time.monotonic()))
        print(f"{times} {what}, {time.monotonic() - began:.0f} s of {times * 2} s of load")
        good = load.judge() and good
    return good


if __name__ == "__main__":
    main()
