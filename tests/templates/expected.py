"""Renders templates and expressions with ansible-core, the reference.

Usage: expected.py                 rewrites the committed expectations
       expected.py --stdin         reads jobs as JSON lines, writes results

A job is {"text": …, "context": {…}, "dir": …}; a result is {"value": …} or
{"error": …}. Needs ansible-core 2.19 (`pip install ansible-core`).
"""

import json
import os
import pathlib
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


def probe_jobs():
    """One job for each line of probes.txt, with the context before it."""
    context = {}
    for line in (HERE / "probes.txt").read_text().splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line.startswith("context "):
            context = json.loads(line[len("context "):])
            continue
        # The brackets keep the result a text.
        yield line, {"text": "<" + line.replace("\\n", "\n") + ">", "context": context}


def main():
    if sys.argv[1:] == ["--stdin"]:
        for line in sys.stdin:
            print(json.dumps(render(json.loads(line))), flush=True)
        return
    with open(HERE / "probes.json", "w") as out:
        results = [{"probe": line, **render(job)} for line, job in probe_jobs()]
        # The wording of an error is no part of the contract.
        for result in results:
            if "error" in result:
                result["error"] = True
        out.write("[\n" + ",\n".join(json.dumps(r) for r in results) + "\n]\n")
    for context_file in sorted(HERE.glob("*/*.json")):
        folder = context_file.parent
        template = (folder / "template.j2").read_bytes().decode()
        context = json.loads(context_file.read_text())
        result = render({"text": template, "context": context, "dir": str(folder)})
        target = context_file.with_suffix(".expected")
        if "error" in result:
            sys.exit(f"{context_file}: {result['error']}")
        target.write_bytes(result["value"].encode())


if __name__ == "__main__":
    main()
