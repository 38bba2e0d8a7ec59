#!/usr/bin/env python3
"""A real Prometheus in front of a running Breadbox: usage: run.py BREADBOX

Checks the shipped files with promtool, starts `breadbox demo` and a Prometheus with the shipped configuration on
free ports, asks for a few pages, and waits until the target is up, every rule was evaluated without an error, and
every series that the rules, the alerts and the Grafana dashboard name was scraped; no expression may be refused.
"""

import json
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "config/prometheus"
DEADLINE = 60


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def eventually(what, holds):
    until, last = time.monotonic() + DEADLINE, None
    while time.monotonic() < until:
        try:
            last = holds()
            if last is True:
                return
        except OSError as error:
            last = error
        time.sleep(0.2)
    sys.exit(f"not within {DEADLINE} s: {what}: {last}")


def configuration(admin):
    """The shipped files with the address of the target and short intervals."""
    folder = Path(tempfile.mkdtemp(prefix="breadbox-prometheus-"))
    for name in ("rules.yml", "alerts.yml"):
        (folder / name).write_text((FILES / name).read_text())
    text = (FILES / "prometheus.yml").read_text()
    text = text.replace("127.0.0.1:9145", f"127.0.0.1:{admin}").replace("15s", "1s")
    (folder / "prometheus.yml").write_text(text)
    return folder


def main(breadbox):
    subprocess.run(["promtool", "check", "config", FILES / "prometheus.yml"], check=True)
    subprocess.run(["promtool", "test", "rules", ROOT / "tests/prometheus/alerts.yml"], check=True)
    listen, admin, port = free_port(), free_port(), free_port()
    folder = configuration(admin)
    prometheus = f"http://127.0.0.1:{port}"
    demo = ["demo", "--listen", f"127.0.0.1:{listen}", "--admin", f"127.0.0.1:{admin}"]
    started = [
        subprocess.Popen([breadbox, *demo], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL),
        subprocess.Popen(
            ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address=127.0.0.1:{port}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL),
    ]
    try:
        check(prometheus, f"http://127.0.0.1:{listen}")
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait()


def check(prometheus, site):
    def ask(expression):
        query = urllib.parse.urlencode({"query": expression})
        return json.loads(get(f"{prometheus}/api/v1/query?{query}"))["data"]["result"]

    def rules():
        return [rule for group in json.loads(get(f"{prometheus}/api/v1/rules"))["data"]["groups"] for rule in group["rules"]]

    eventually("the shop answers", lambda: "<html" in get(f"{site}/products/1"))
    eventually("the target is up", lambda: [one["value"][1] for one in ask('up{job="breadbox"}')] == ["1"])

    def served():
        for product in range(20):
            get(f"{site}/products/{product % 5 + 1}")
        return bool(ask("job:breadbox_stored:ratio_rate5m > 0"))

    eventually("the share of stored pages is recorded", served)
    eventually("every rule is evaluated", lambda: [rule["name"] for rule in rules() if rule["health"] != "ok"] == [])
    texts = [path.read_text() for path in (FILES / "rules.yml", FILES / "alerts.yml", ROOT / "config/grafana/breadbox.json")]
    names = set(re.findall(r"(?<![\w:])(?:breadbox|process)_\w+", "\n".join(texts)))
    names = {name for name in names if not re.search(rf"{name}:", "\n".join(texts))}
    missing = sorted(name for name in names if not ask(f"{{__name__=\"{name}\"}}"))
    if missing:
        sys.exit(f"not scraped: {', '.join(missing)}")
    panels = json.loads((ROOT / "config/grafana/breadbox.json").read_text())["panels"]
    expressions = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    for expression in expressions:
        ask(re.sub(r"\$\{?(job|instance)\}?", ".*", expression).replace("$__rate_interval", "1m"))
    firing = ask('ALERTS{alertstate="firing"}')
    if firing:
        sys.exit(f"alerts fire on a healthy demo: {firing}")
    print(f"ok: {len(names)} series scraped, {len(rules())} rules evaluated, "
          f"{len(expressions)} expressions of the dashboard understood, no alert fires")


if __name__ == "__main__":
    main(sys.argv[1])
