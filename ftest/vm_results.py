"""A plugin of the pytest in the virtual machine of vm_suite.py: a line of JSON of each test, when it has ended."""
import json
import os
import tty

# The second serial line; a file will do.
CHANNEL = os.environ.get("HSUP_TEST_CHANNEL", "/dev/ttyS1")


def pytest_configure(config):
    config.pluginmanager.register(Results())


class Results:
    def __init__(self):
        self.channel = os.open(CHANNEL, os.O_WRONLY | os.O_NOCTTY)
        if os.isatty(self.channel):
            tty.setraw(self.channel)
        self.reports = []

    def say(self, **what):
        line = json.dumps(what).encode() + b"\n"
        while line:
            line = line[os.write(self.channel, line):]

    def pytest_runtest_logreport(self, report):
        self.reports.append(report)
        if report.when != "teardown":
            return
        failed = [r for r in self.reports if r.outcome != "passed"]
        told = [f"-- {r.when} --\n{r.longreprtext}" for r in failed]
        if failed:
            told += [f"-- {title} --\n{text}" for title, text in report.sections]
        self.say(test=report.nodeid, passed=not failed, text="\n".join(told),
                 seconds=round(sum(r.duration for r in self.reports), 1))
        self.reports = []

    def pytest_sessionfinish(self, exitstatus):
        self.say(end=int(exitstatus))
