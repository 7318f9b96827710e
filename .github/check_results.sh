#!/usr/bin/env bash
# Hold submitted results against the rules, by the code and the board of this checkout. Fails if something is wrong with them.
#
# SUBMITTED: a folder like leaderboard/, read as data. REPORT: the Markdown file to write. What comes from the submitted files
# goes to the report alone, cut short and indented, so that it is shown as it is; nothing of it is printed, since a line of a log
# can be a command to the runner.
set -uo pipefail
submitted=$1 report=$2
longest=200
wrong=0

literally() { # the first lines of stdin as a block of code: no markup, no mention, no control characters
    tr -d '\000-\010\013-\037\177' | cut -c 1-300 | sed 's/^/    /' |
        awk -v longest="$longest" 'NR <= longest { print } END { if (NR > longest) print "    ... and " NR - longest " lines more" }'
}

section() { # TITLE COMMAND...: run it, report what it said; its exit code
    local title=$1 said code
    shift
    said=$(mktemp)
    "$@" >"$said" 2>&1
    code=$?
    printf '\n**%s**\n\n' "$title" >>"$report"
    literally <"$said" >>"$report"
    rm "$said"
    return "$code"
}

verified() { # faults and the sum; of the rest there is a line for each cell that cannot be recomputed here
    local said code
    said=$(benchbd verify "$submitted/results" 2>&1)
    code=$?
    grep -E '^fault ' <<<"$said"
    tail -n 1 <<<"$said"
    return "$code"
}

board_fits() { # the notes on what was checked are those of this checkout: nobody vouches for results of their own
    cmp leaderboard/trust.json "$submitted/trust.json" && benchbd leaderboard build --check --results "$submitted/results" \
        --trust leaderboard/trust.json --out "$submitted" && echo "the board is what the results give"
}

differs() {
    benchbd leaderboard diff leaderboard "$submitted/results"
    [ $? -le 1 ] # 1 says that something differs, which is why it was sent
}

cd "$(dirname "$0")/.." || exit 2
printf 'What the results of this pull request change, by the code of the base branch.\n' >"$report"
section 'benchbd verify' verified || wrong=1
section 'benchbd leaderboard build --check' board_fits || wrong=1
section 'benchbd leaderboard diff' differs || wrong=1
[ "$wrong" = 0 ] && verdict='Nothing is wrong with these files.' || verdict='Something is wrong: see above, and docs/submitting.md.'
printf '\n%s\n' "$verdict" | tee -a "$report"
exit "$wrong"
