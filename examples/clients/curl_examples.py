"""Runs every `curl` example of README.md and docs/ against a server, and shows what each answers.

    nestor serve --listen 127.0.0.1:8088 &
    python3 examples/clients/curl_examples.py http://127.0.0.1:8088
"""

import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SERVER = sys.argv[1]
count = 0
for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
    for block in re.findall(r"```sh\n(.*?)```", path.read_text(), re.S):
        # A command goes on where its line ends with a backslash.
        for command in re.findall(r"^curl (?:.*\\\n)*.*", block, re.M):
            command = command.replace("http://127.0.0.1:8088", SERVER).replace("curl ", "curl --noproxy '*' ", 1)
            answer = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True).stdout
            told = json.loads(answer)
            assert "error" not in told, (command, told)
            shown = told.get("choices", [{}])[0].get("text") or told.get("content") or told.get("text") or told
            print(f"{path.relative_to(ROOT)}: {re.search(r'//[^/]*(/[^ ]*)', command).group(1)}: {shown!r}")
            count += 1
assert count >= 4, count
print(f"{count} examples answered")
