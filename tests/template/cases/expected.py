"""Renders templates and expressions with ansible-core, the reference.

Usage: expected.py                 rewrites the committed expectations
       expected.py --stdin         reads jobs as JSON lines, writes results

A job is {"text": …, "context": {…}, "dir": …}; a result is {"value": …} or
{"error": …}. Needs ansible-core 2.19 (`pip install ansible-core`).
"""

import json
import os
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
os.environ.setdefault("ANSIBLE_DEPRECATION_WARNINGS", "0")
os.environ.setdefault("ANSIBLE_LOCALHOST_WARNING", "0")
os.environ.setdefault("ANSIBLE_TASK_TIMEOUT", "0")

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template


def render(job):
    """What ansible.builtin.template would write."""
    loader = DataLoader()
    templar = Templar(loader=loader, variables=job["context"])
    templar = templar.copy_with_new_env(
        searchpath=[job.get("dir") or str(HERE)],
        available_variables=job["context"],
    )
    try:
        result = templar.template(
            trust_as_template(job["text"]), escape_backslashes=False
        )
    except Exception as error:  # any failure is a verdict
        return {"error": type(error).__name__ + ": " + str(error)[:200]}
    return {"value": "" if result is None else str(result)}


def probes():
    """The expressions of probes.txt, each with the context above it."""
    context = {}
    for line in (HERE / "probes.txt").read_text().splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line.startswith("context "):
            context = json.loads(line[len("context "):])
            continue
        # Several expressions on a line are several probes.
        parts = [line] if "{%" in line else re.split(r"(?<=}}) (?={{)", line)
        for part in parts:
            # The brackets keep the result a text.
            text = "<" + part.replace("\\n", "\n") + ">"
            yield {"text": text, "context": context}


def main():
    if sys.argv[1:] == ["--stdin"]:
        for line in sys.stdin:
            print(json.dumps(render(json.loads(line))), flush=True)
        return
    results = []
    for job in probes():
        result = render(job)
        # The wording of an error is no part of the contract.
        verdict = {"error": True} if "error" in result else result
        results.append(json.dumps({**job, **verdict}))
    (HERE / "probes.json").write_text("[\n" + ",\n".join(results) + "\n]\n")
    for context_file in sorted(HERE.glob("*/*.json")):
        folder = context_file.parent
        template = (folder / "template.j2").read_bytes().decode()
        context = json.loads(context_file.read_text())
        result = render({"text": template, "context": context, "dir": str(folder)})
        if "error" in result:
            sys.exit(f"{context_file}: {result['error']}")
        context_file.with_suffix(".expected").write_bytes(result["value"].encode())


if __name__ == "__main__":
    main()
