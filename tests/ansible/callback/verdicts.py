"""Prints one line of JSON for each task: its play, its verdict, what it said."""

import json

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "verdicts"

    def v2_playbook_on_play_start(self, play):
        self.case = play.get_name()

    def say(self, verdict, result):
        said = {key: str(result.result[key]) for key in ("msg", "stderr") if key in result.result}
        print(json.dumps([self.case, verdict, said]), flush=True)

    def v2_runner_on_ok(self, result):
        self.say("changed" if result.result.get("changed") else "ok", result)

    def v2_runner_on_skipped(self, result):
        self.say("ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.say("failed", result)

    def v2_runner_on_unreachable(self, result):
        self.say("unreachable", result)
