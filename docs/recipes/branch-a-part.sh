#!/bin/sh
# A branch and a commit for each part of a plan: ormend/NAME, from the commit that is checked out.
#
#     ormend plan --split-by owner -o ../parts
#     docs/recipes/branch-a-part.sh ../parts
#
# Run it in the project. A part that no longer fits is told and gets no branch; the status is then 1.
set -eu
if [ $# -ne 1 ] || [ ! -e "$1/index.json" ]; then
    echo "usage: branch-a-part.sh DIR, which \`ormend plan --split-by ... -o DIR\` wrote" >&2
    exit 2
fi
parts=$(cd "$1" && pwd)
if [ -n "$(git status --porcelain --untracked-files=no)" ]; then
    echo "there are changes that are not committed: commit or stash them first" >&2
    exit 2
fi
base=$(git rev-parse HEAD)
start=$(git symbolic-ref --quiet --short HEAD) || start=$base
status=0
for message in "$parts"/*.commit.txt; do
    [ -e "$message" ] || continue
    name=$(basename "$message" .commit.txt)
    if ! git switch --quiet --create "ormend/$name" "$base"; then
        status=1
    elif ! ormend apply --quiet --atomic "$parts/$name.plan.json"; then
        git switch --quiet --detach "$base"
        git branch --quiet --delete --force "ormend/$name"
        status=1
    else
        git commit --quiet --all --file="$message"
        echo "ormend/$name"
    fi
done
if [ "$start" = "$base" ]; then git switch --quiet --detach "$base"; else git switch --quiet "$start"; fi
exit $status
