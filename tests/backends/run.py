#!/usr/bin/env python3
"""Runs Breadbox in front of real backends, a Django site under gunicorn and a Next.js app under `next start`,
and checks in each application's own log what was rendered and when.

    tests/backends/run.py BREADBOX [django] [next]

`make backends` installs what this needs below target/backends and starts it.
"""

import concurrent.futures
import http.client
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
PLACE = HERE.parent.parent / "target" / "backends"
TTL = 2.0
RENDER = 0.5
LOAD_SECONDS = 12
CONNECTIONS = 50
DEADLINE = 30.0


class Answer:
    """A response, and how long it took in seconds."""

    def __init__(self, port, path, method="GET", fields=None):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
        start = time.monotonic()
        connection.request(method, path, headers=fields or {})
        response = connection.getresponse()
        self.body = response.read().decode()
        self.took = time.monotonic() - start
        connection.close()
        self.status = response.status
        self.fields = response.headers
        self.cache_status = response.headers.get("Cache-Status", "")
        stamp = re.search(r"render=([0-9.]+)", self.body)
        self.render = stamp.group(1) if stamp else None

    def __str__(self):
        return f"{self.status} {self.took * 1000:.0f} ms, {self.cache_status or 'no Cache-Status'}"


class Report:
    """The table that is printed, and what failed of it."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def row(self, backend, what, holds, seen):
        self.passed += holds
        self.failed += not holds
        print(f"{backend:<8} {'ok' if holds else 'FAILED':<7} {what:<58} {seen}", flush=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(what, holds):
    """Polls until `holds` answers with something true, or ends the run."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        found = holds()
        if found:
            return found
        time.sleep(0.02)
    raise SystemExit(f"waited {DEADLINE:.0f} s in vain until {what}")


def answers(port, path):
    try:
        return Answer(port, path).status == 200
    except OSError:
        return False


class Process:
    """A program in a process group of its own, its output in a file."""

    def __init__(self, name, command, cwd, variables):
        self.name = name
        self.log = PLACE / f"{name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                command, cwd=cwd, env=os.environ | variables, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )

    def end(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        return self.process.returncode


def start_django(port, render_log):
    command = [PLACE / "venv/bin/gunicorn", "--workers", "2", "--threads", "16", "--no-control-socket",
               "--bind", f"127.0.0.1:{port}", "app:application"]
    return Process("django", command, HERE / "django", {"RENDER_LOG": str(render_log), "PYTHONDONTWRITEBYTECODE": "1"})


def start_next(port, render_log):
    command = ["node", "node_modules/next/dist/bin/next", "start", "-H", "127.0.0.1", "-p", str(port)]
    return Process("next", command, PLACE / "next", {"RENDER_LOG": str(render_log), "NEXT_TELEMETRY_DISABLED": "1"})


class Site:
    """A backend with Breadbox in front of it."""

    def __init__(self, name):
        self.name = name
        self.render_log = PLACE / f"{name}-renders.log"
        self.backend = self.breadbox = None
        self.port = None

    def start(self, start_backend, breadbox):
        self.render_log.write_bytes(b"")
        origin_port, self.port, admin_port = free_port(), free_port(), free_port()
        self.backend = start_backend(origin_port, self.render_log)
        wait_until(f"{self.name} answers", lambda: answers(origin_port, "/about"))
        variables = {"BACKENDS_PORT": str(self.port), "BACKENDS_ADMIN_PORT": str(admin_port),
                     "BACKENDS_ORIGIN_PORT": str(origin_port)}
        command = [breadbox, "run", "--config", str(HERE / "breadbox.yaml")]
        self.breadbox = Process(f"breadbox-{self.name}", command, HERE, variables)
        wait_until("Breadbox is ready", lambda: answers(admin_port, "/readyz"))

    def get(self, path, fields=None):
        return Answer(self.port, path, fields=fields)

    def renders(self, path):
        """When the application started to render `path`, in seconds."""
        lines = (line.split() for line in self.render_log.read_text().splitlines())
        return [int(millis) / 1000 for millis, rendered in lines if rendered == path]

    def end(self):
        if self.backend:
            self.backend.end()
        return self.breadbox.end() if self.breadbox else None


def first_hit_and_stale(site, check):
    """A page's life: rendered once, served at once, stale at once, and new after that."""
    first = site.get("/slow/1")
    check("the first request waits for the render", first.took >= RENDER and "fwd=uri-miss" in first.cache_status, first)
    second = site.get("/slow/1")
    check("the second is a hit", second.took < RENDER / 2 and "hit; ttl=" in second.cache_status
          and second.body == first.body, second)
    time.sleep(TTL)  # This is the page's lifetime itself; nothing can be seen from outside until it has passed.
    stale = site.get("/slow/1")
    check("a stale page is served at once", stale.took < RENDER / 2 and "detail=stale" in stale.cache_status
          and stale.render == first.render, stale)
    new = wait_until("the refresh is done", lambda: fresh_other(site, first.render))
    check("and the next page comes without waiting", new.took < RENDER / 2, new)
    renders = len(site.renders("/slow/1"))
    check("the application rendered twice", renders == 2, f"{renders} renders")


def fresh_other(site, render):
    answer = site.get("/slow/1")
    return answer if answer.render != render else None


def one_render_per_lifetime(site, check):
    """Load on one page: the application's log shows one render a lifetime, never two at once."""
    path = "/slow/2"
    site.get(path)
    requests = load(site.port, path)
    starts = site.renders(path)
    # Lifetimes are shortened by up to 10 % and begin when the last render ends.
    gaps = [later - earlier for earlier, later in zip(starts, starts[1:])]
    fewest, most = LOAD_SECONDS / (TTL + 2 * RENDER), LOAD_SECONDS / (0.9 * TTL + RENDER) + 2
    check(f"{requests} requests in {LOAD_SECONDS} s: one render a lifetime", fewest <= len(starts) <= most,
          f"{len(starts)} renders")
    shortest = min(gaps, default=0)
    check("renders of a page never overlap", shortest >= 0.9 * TTL, f"shortest time between two: {shortest:.2f} s")


def load(port, path):
    """Asks for `path` over many connections; answers how many requests were made."""
    url = f"http://127.0.0.1:{port}{path}"
    if shutil.which("wrk"):
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{LOAD_SECONDS}s", url]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        if "Non-2xx" in output or "Socket errors" in output:
            raise SystemExit(f"errors under load:\n{output}")
        return int(re.search(r"(\d+) requests in", output).group(1))
    end = time.monotonic() + LOAD_SECONDS
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return sum(pool.map(lambda _: ask_until(end, port, path), range(8)))


def ask_until(end, port, path):
    count = 0
    while time.monotonic() < end:
        if Answer(port, path).status != 200:
            raise SystemExit("an error under load")
        count += 1
    return count


def one_render_for_a_crowd(site, check):
    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
        crowd = list(pool.map(lambda _: site.get("/slow/3"), range(CONNECTIONS)))
    renders = len(site.renders("/slow/3"))
    same = {answer.body for answer in crowd}
    check(f"{CONNECTIONS} clients on one cold page: one render", renders == 1 and len(same) == 1
          and all(answer.status == 200 for answer in crowd), f"{renders} renders, {len(same)} bodies")


def static_page(site, check):
    site.get("/about")
    hit = site.get("/about")
    check("a static page is a hit without a ttl", "hit" in hit.cache_status and "ttl=" not in hit.cache_status, hit)


def edit(site, check):
    before = site.get("/slow/4")
    Answer(site.port, "/slow/4", method="POST", fields={"Content-Length": "0"})
    after = site.get("/slow/4")
    check("a POST to a page makes it new (RFC 9111 §4.4)", after.render != before.render
          and "hit" not in after.cache_status, after)


def rsc(site, check):
    """What a click on a link of the App Router asks for, as its client-side router does it."""
    redirect = site.get("/keyed/1", {"RSC": "1"})
    check("RSC without its _rsc is sent where Next.js says", redirect.status == 307, redirect)
    target = re.sub("^https?://[^/]+", "", redirect.fields.get("Location", "/keyed/1"))
    first, second = site.get(target, {"RSC": "1"}), site.get(target, {"RSC": "1"})
    check("a click is a hit on a route that keys on RSC", second.fields["Content-Type"] == "text/x-component"
          and "hit" in second.cache_status and first.render == second.render, second)
    html = site.get("/keyed/1")
    check("and never in the place of the document", html.fields["Content-Type"].startswith("text/html"), html)
    bypass = site.get(target.replace("keyed", "slow"), {"RSC": "1"})
    check("a click is a bypass where the route does not", "fwd=bypass" in bypass.cache_status
          and bypass.fields["Content-Type"] == "text/x-component", bypass)


def origin_gone(site, check):
    """Last, because the backend does not come back."""
    known = site.get("/slow/1")
    site.backend.end()
    time.sleep(TTL)  # The page's lifetime: it is stale after that.
    kept = site.get("/slow/1")
    check("the backend has ended: its page is still served", kept.status == 200 and kept.took < RENDER / 2
          and kept.body.count("render=") == known.body.count("render="), kept)
    unknown = site.get("/slow/5")
    check("and a page nobody has seen is a clean error", unknown.status in (502, 503, 504)
          and "Retry-After" in unknown.fields, unknown)


COMMON = [first_hit_and_stale, one_render_per_lifetime, one_render_for_a_crowd, static_page]
BACKENDS = {
    "django": (start_django, [*COMMON, edit, origin_gone]),
    "next": (start_next, [*COMMON, rsc, origin_gone]),
}


def run(name, breadbox, report):
    start_backend, scenarios = BACKENDS[name]
    site = Site(name)

    def check(what, holds, seen):
        report.row(name, what, bool(holds), seen)

    try:
        site.start(start_backend, breadbox)
        for scenario in scenarios:
            scenario(site, check)
    finally:
        code = site.end()
    check("Breadbox ended cleanly on SIGTERM", code == 0, f"exit code {code}")


def main():
    if len(sys.argv) < 2 or any(name not in BACKENDS for name in sys.argv[2:]):
        raise SystemExit(__doc__)
    breadbox = str(pathlib.Path(sys.argv[1]).resolve())
    report = Report()
    for name in sys.argv[2:] or BACKENDS:
        run(name, breadbox, report)
    print(f"\n{report.passed} passed, {report.failed} failed")
    sys.exit(report.failed > 0)


main()
