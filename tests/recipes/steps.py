"""The commands of a GitHub workflow or of a GitLab pipeline, as JSON: a list of names and commands in order."""

import json
import sys

import yaml

with open(sys.argv[1], encoding="utf-8") as file:
    document = yaml.safe_load(file)
steps = []
for name, job in (document.get("jobs") or document).items():
    for step in job.get("steps", []):
        steps.append([step.get("name") or step["uses"], step.get("run")])
    for key in ("before_script", "script"):
        steps.extend([key, command] for command in job.get(key, []))
print(json.dumps(steps))
