"""Asks a real Prometheus whether every panel of deploy/grafana and every alert of alerts.yml has data.

    nestor serve --config server.toml &                     # [jobs] sources and runs set, no keys
    prometheus --config.file deploy/prometheus/prometheus.yml --storage.tsdb.path data &
    python3 deploy/prometheus/check.py http://127.0.0.1:8088 http://127.0.0.1:9090 examples/trade/cf CORPUS

First it lets the server do a little of everything: completions, what users do with them, learning, training, refusals, reloads. CORPUS is
a folder of `nestor corpus build` inside jobs.sources. Ends with 1 if anything shows nothing.
"""

import json
import pathlib
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

SERVER, PROMETHEUS, SOURCE, CORPUS = sys.argv[1:5]
DEPLOY = pathlib.Path(__file__).resolve().parent.parent
TEXT = "Процедура А()\n\tЗапрос = Новый Запрос;\n\tВыборка = Запрос.Выполнить().Выбрать();\n"
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(path, body=None, headers={}):
    """The answer and its status; refusals are answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(SERVER + path, data, {"Content-Type": "application/json", **headers})
    try:
        with DIRECT.open(request, timeout=120) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")


def expect(status, path, body=None):
    found, answer = ask(path, body)
    assert found == status, (path, found, answer)
    return answer


def a_little_of_everything(round_number):
    typed = TEXT
    for speed in ["fast", "balanced", "accurate"]:
        for more in ["\tПока ", "Выборка.", "Следующий() "]:
            typed += more
            body = {"path": f"CommonModules/А/Ext/{speed}.bsl", "text": typed, "offset": len(typed), "speed": speed, "project": "trade", "deadline_ms": 60000}
            made = expect(200, "/v1/complete", body)
    events = [
        {"event": "shown", "id": made["id"], "characters": 20},
        {"event": "accepted", "id": made["id"], "characters": 20},
        {"event": "typed", "characters": 50},
    ]
    for seconds in [30, 90, 180, 360]:
        events.append({"event": "retained", "id": made["id"], "after_seconds": seconds, "accepted": 20, "retained": 15})
    expect(200, "/v1/events", {"events": events})
    expect(400, "/v1/completions", {"model": "nestor-fast", "prompt": "А", "max_tokens": -round_number - 1})
    ask("/v1/models", None, {"Authorization": "Bearer wrong"})
    expect(200, "/v1/admin/reload", {})


def value_of(expression):
    """The series that an expression gives now."""
    url = PROMETHEUS + "/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    with DIRECT.open(url, timeout=60) as answer:
        found = json.loads(answer.read())["data"]["result"]
    return [one for one in found if one["value"][1] != "NaN"]


def panels():
    for path in sorted((DEPLOY / "grafana").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{path.stem}: {panel['title']}", target["expr"].replace("$__rate_interval", "2m")


def alerts():
    """What each alert compares: an alert that does not fire gives nothing, what stands before its sign must."""
    rules = (DEPLOY / "prometheus" / "alerts.yml").read_text().split("- alert: ")[1:]
    for rule in rules:
        expression = re.search(r"expr:\s*>?\s*(.*?)\n\s*(?:for|labels):", rule, re.S).group(1)
        for part in re.split(r"\sand\s", " ".join(expression.split())):
            yield f"alert {rule.split()[0]}", re.split(r"\s(?:>=|<=|==|>|<)\s", part)[0]


learn = expect(202, "/v1/projects/trade/learn", {"source": str(pathlib.Path(SOURCE).resolve())})
while expect(200, f"/v1/train/{learn['id']}")["state"] == "running":
    time.sleep(0.5)
train = {"name": "panels", "corpus": str(pathlib.Path(CORPUS).resolve()), "max_tokens": 100000000, "batch": 1, "seq_len": 64}
train = expect(202, "/v1/train", train)
wanted = [*panels(), *alerts()]
missing = wanted
end = time.monotonic() + 600
rounds = 0
while missing and time.monotonic() < end:
    a_little_of_everything(rounds)
    rounds += 1
    time.sleep(5)
    missing = [(place, expression) for place, expression in wanted if not value_of(expression)]
request = urllib.request.Request(f"{SERVER}/v1/train/{train['id']}", method="DELETE")
DIRECT.open(request).close()
gone = {expression for _, expression in missing}
for place, expression in wanted:
    print(f"{place:<52} {'nothing' if expression in gone else len(value_of(expression))}")
print(f"{len(wanted) - len(missing)} of {len(wanted)} expressions have data, after {rounds} rounds")
sys.exit(bool(missing))
