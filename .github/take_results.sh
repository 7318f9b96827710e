#!/usr/bin/env bash
# Lay the folder leaderboard/ of a commit out as plain files. SOURCE: a repository; REF: what to fetch from it; FOLDER: where to.
#
# What is neither a plain file nor named like one of the board is refused, so that nothing leads out of the folder and nothing
# can be started.
set -euo pipefail
source=$1 ref=$2 folder=$3
allowed='^leaderboard/[A-Za-z0-9._/+:=-]+\.(json|safetensors|yaml|png|md|html|csv)$'

git init --quiet "$folder.git"
git -C "$folder.git" fetch --quiet --depth=1 "$source" "$ref"
while IFS= read -r -d '' entry; do
    mode=${entry%% *} name=${entry#*$'\t'}
    if [[ $mode != 100644 || ! $name =~ $allowed || $name == *..* ]]; then
        printf 'refused, no plain result file: mode %s, name %q\n' "$mode" "$name" >&2
        exit 1
    fi
done < <(git -C "$folder.git" ls-tree -r -z FETCH_HEAD -- leaderboard)
mkdir -p "$folder"
# No filter, attribute or hook of either repository has a say in what is written.
git -C "$folder.git" -c core.attributesFile=/dev/null archive --worktree-attributes FETCH_HEAD leaderboard | tar -x -C "$folder"
