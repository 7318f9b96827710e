#!/usr/bin/env bash
# A few commands on tiny data, to see that the installed set of dependencies carries them at all.
#
#     bash .github/smoke.sh [FOLDER OF benchbd AND python, such as .venv/bin]
#
# Used on the lowest set of dependencies that pyproject.toml allows (lowest.sh) and on the newest.
set -euo pipefail
bin="${1:+$(realpath "$1")/}"
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
cd "$place"
export BENCHBD_DATA="$place" OMP_NUM_THREADS=1

say() { printf '\n== %s\n' "$*"; }
bench() { say "benchbd $*"; "${bin}benchbd" "$@"; }

cat > tiny.yaml <<'YAML'
name: tiny
dataset: {name: digits, params: {size: 8}}
model: {name: resnet_small, params: {width: 4}}
recipe: {epochs: 1, precision: fp32}
clean_budget: 0.3
seeds: [0]
attacks: [badnet]
defenses: [none, {name: anp, params: {nb_iter: 2}}]
YAML
printf 'name: &a [%s]\nseeds: {<<: [*a, *a], x: 2024-13-45}\n' "1, 2" > hostile.yaml
"${bin}python" - <<'PYTHON'
merges = [f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 12)]
open("merges.yaml", "w").write("a0: &a0 {k: 1}\n" + "".join(merges))
PYTHON

bench --version
bench list > list.txt
grep -q badnet list.txt
bench info anp > info.txt
bench run --attack badnet --defense anp --set dataset.size=8 --set model.width=4 \
  --set recipe.epochs=1 --set defense.nb_iter=2 --name smoke
bench matrix tiny.yaml --workers 1
bench plan tiny.yaml
bench verify leaderboard/results/tiny
bench leaderboard build
grep -q anp leaderboard/LEADERBOARD.md
bench check attack.badnet
bench check defense.anp
for text in hostile merges; do
  say "benchbd plan $text.yaml is refused, at once"
  code=0
  timeout 60 "${bin}benchbd" plan "$text.yaml" || code=$?
  [ "$code" = 2 ] || { echo "expected the exit code 2, got $code" >&2; exit 1; }
done
printf '\nall of it works with\n'
"${bin}python" - <<'PYTHON'
import re
from importlib.metadata import requires, version

for each in requires("benchbd"):
    if "extra ==" not in each:
        name = re.match(r"[\w.-]+", each)[0]
        print(f"  {name} {version(name)}")
PYTHON
