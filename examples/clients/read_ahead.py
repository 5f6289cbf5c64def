"""The first completion of a document that was just opened, over `nestor lsp`: a letter is typed, and ghost text asked for after a pause,
as editors do. Prints medians in milliseconds; a pause of 0 shows that reading ahead delays nothing. With --serve the model is at a `nestor serve` of
its own, and the language server asks there.

    python3 examples/clients/read_ahead.py target/release/nestor examples/trade/cf [SPEED] [--serve]
"""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

SERVES = "--serve" in sys.argv
NESTOR, SOURCE, *SPEEDS = [argument for argument in sys.argv[1:] if argument != "--serve"]
SPEED = SPEEDS[0] if SPEEDS else "balanced"


class Server:
    def __init__(self, folder):
        config = pathlib.Path(folder) / "server.toml"
        config.write_text('listen = "127.0.0.1:0"\nkeys = "keys.json"\nmemory = "projects"\n')
        arguments = [NESTOR, "serve", "--json", "--config", str(config)]
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.url = json.loads(self.process.stdout.readline())["url"]


class Client:
    def __init__(self, memory):
        self.server = Server(memory) if SERVES else None
        way = ["--server", self.server.url] if self.server else ["--memory", memory]
        arguments = [NESTOR, "lsp", "--speed", SPEED, *way]
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.next_id = 0
        self.ask("initialize", {"processId": None, "rootUri": None, "capabilities": {"textDocument": {"inlineCompletion": {}}}})
        self.tell("initialized", {})
        while True:
            note = self.read()
            if note.get("method") == "nestor/didChangeStatus" and not note["params"]["busy"]:
                return

    def write(self, message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def read(self):
        length = 0
        while (line := self.process.stdout.readline().strip()):
            name, value = line.split(b": ")
            length = int(value) if name == b"Content-Length" else length
        return json.loads(self.process.stdout.read(length))

    def tell(self, method, params):
        self.write({"method": method, "params": params})

    def ask(self, method, params):
        self.next_id += 1
        self.write({"id": self.next_id, "method": method, "params": params})
        while True:
            message = self.read()
            if message.get("id") == self.next_id and "method" not in message:
                return message


def first_completion(client, number, text, line, pause):
    uri = f"file:///m{number}.bsl"
    client.tell("textDocument/didOpen", {"textDocument": {"uri": uri, "languageId": "bsl", "version": 1, "text": text}})
    time.sleep(1)
    at = {"line": line, "character": 0}
    change = {"range": {"start": at, "end": at}, "text": "\tЕ"}
    client.tell("textDocument/didChange", {"textDocument": {"uri": uri, "version": 2}, "contentChanges": [change]})
    time.sleep(pause)
    started = time.perf_counter()
    position = {"line": line, "character": 2}
    answer = client.ask("textDocument/inlineCompletion", {"textDocument": {"uri": uri}, "position": position, "context": {"triggerKind": 2}})
    took = (time.perf_counter() - started) * 1e3
    return took, [item["insertText"] for item in answer["result"]["items"]]


modules = sorted(pathlib.Path(SOURCE).rglob("*.bsl"), key=lambda path: -path.stat().st_size)[:12]
texts = [path.read_text(encoding="utf-8-sig").replace("\r\n", "\n") for path in modules]
with tempfile.TemporaryDirectory() as memory:
    answers = {}
    for pause in [0.0, 0.1, 0.3]:
        # A server that knows none of the documents.
        client = Client(memory)
        times = []
        for number, text in enumerate(texts):
            lines = text.split("\n")
            # Late in the module, where all of the context is there to be read: an empty line of a body.
            line = max((at for at, one in enumerate(lines[: len(lines) * 4 // 5]) if not one.strip()), default=0)
            took, items = first_completion(client, number, text, line, pause)
            assert answers.setdefault(number, items) == items, (number, items, answers[number])
            times.append(took)
        times.sort()
        print(f"{SPEED}, pause {pause * 1e3:.0f} ms: median {statistics.median(times):.1f} ms, longest {times[-1]:.1f} ms, of {len(times)}")
        client.process.kill()
        if client.server:
            client.server.process.kill()
