"""The command `benchbd run` and its kin, as a person types them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.command_line import benchbd, started

TINY = [
    "recipe.epochs=1",
    "model.width=4",
    "dataset.size=8",
    "attack.size=2",
    "defense.nb_iter=2",
    "defense.pruning_step=0.45",
]


def settings(*texts: str) -> list[str]:
    return [word for text in texts for word in ("--set", text)]


@pytest.mark.slow
def test_run_prints_one_object_or_a_table(tmp_path: Path) -> None:
    words = ["run", "--attack", "badnet", "--defense", "anp", "--name", "mine", *settings(*TINY)]
    made = started(*words, "--json", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert made.stderr.splitlines() == [
        "badnet on digits, resnet_small, seed 0: attacking, on 1 thread",
        "badnet: anp, seed 0",
    ]
    (cell,) = json.loads(made.stdout)["cells"]
    assert cell["cell"]["defense"]["name"] == "anp" and cell["status"]["code"] == "ok"
    assert {"metrics", "baseline", "counts", "cost", "provenance", "flags", "curves"} <= cell.keys()
    again = benchbd(*words, cwd=tmp_path)
    assert "stored result used again" in again.stdout and "ASR %" in again.stdout
    assert "stored results used again: 1 of 1 defenses" in again.stdout
    assert "written:" not in again.stdout
    assert again.stderr.splitlines() == [
        "badnet on digits, resnet_small, seed 0: stored attack result, on 1 thread",
        "badnet: anp, seed 0: stored result",
    ]
    anew = benchbd(*words, "--rerun", "defense", cwd=tmp_path)
    assert anew.stderr.splitlines()[1:] == ["badnet: anp, seed 0"]
    written = anew.stdout.partition("written:")[2].split()
    assert written and all((tmp_path / line).is_file() for line in written)


@pytest.mark.slow
def test_several_attacks_and_seeds_are_rows_of_one_table(tmp_path: Path) -> None:
    words = ["run", "--attack", "badnet", "--attack", "blended", "--seeds", "2", "--threads", "1"]
    tiny = settings(*(text for text in TINY if not text.startswith("defense.")))
    first = benchbd(*words, *tiny, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert len(re.findall(r"│ none ", first.stdout)) == 4
    folders = first.stdout.partition("written:")[2].split()
    assert len(folders) == 4 and all((tmp_path / folder).is_dir() for folder in folders)
    quiet = benchbd(*words, *tiny, "-q", cwd=tmp_path)
    assert quiet.stderr == "" and set(quiet.stdout.strip()[:: len(quiet.stdout.strip()) - 1]) == {
        "┏",
        "┘",
    }
    told = json.loads(benchbd(*words, *tiny, "--json", cwd=tmp_path).stdout)["cells"]
    assert [(cell["cell"]["attack"]["name"], cell["cell"]["seed"]) for cell in told] == [
        ("badnet", 0),
        ("badnet", 1),
        ("blended", 0),
        ("blended", 1),
    ]


@pytest.mark.slow
def test_verbose_shows_every_step_and_where_an_error_was_raised(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(
        "from benchbd.api import Repair\n\n\nclass Broken(Repair):\n    api = 1\n\n"
        "    def repair(self, model, clean, rng):\n        return {}['nothing']\n"
    )
    tiny = settings(*(text for text in TINY if not text.startswith("defense.")))
    words = ["run", "--attack", "badnet", "--defense", "./broken.py", *tiny]
    plain = benchbd(*words, cwd=tmp_path)
    assert plain.returncode == 1 and "failed: 'nothing'" in plain.stdout
    assert "-v shows where it was raised" in plain.stdout and "Traceback" not in plain.stdout
    told = benchbd(*words, "-v", cwd=tmp_path)
    assert "KeyError: 'nothing'" in told.stdout and "broken.py" in told.stdout
    quiet = benchbd(*words, "-q", cwd=tmp_path)
    assert "nothing" in quiet.stderr and "nothing" not in quiet.stdout


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["run", "--attack", "badnets"], 3, "did you mean 'badnet'"),
        (["run", "--attack", "badnet", "--set", "attack.size=big"], 2, "expected size"),
        (["run", "--attack", "badnet", "--set", "size"], 2, "KIND.PARAM=VALUE"),
        (
            ["run", "--attack", "badnet", "--model", "resnet9", "--model", "deepid"],
            2,
            "--model': expected one value, got resnet9, deepid",
        ),
        (
            ["run", "--attack", "badnet", "--seed", "0", "--seeds", "2"],
            2,
            "--seeds and --seed: expected one of them",
        ),
        (["run", "--attack", "badnet", "-q", "-v"], 2, "-q and -v: expected one of them"),
        (["run", "--attack", "badnet", "--threads", "0"], 2, "0 is not in the range x>=1"),
        (
            ["run", *settings("recipe.lr=1", "recipe.lr =2")],
            2,
            "recipe.lr is given twice, as 1 and as 2",
        ),
        (
            ["run", "--attack", "badnet", "--set", "model=resnet9"],
            2,
            "which parameter of the model?",
        ),
        (["run", "--result-file", "nothing"], 5, "no attack result at nothing"),
        (
            ["run", "--dataset", "imagefolder", "--attack", "badnet", "--set", "dataset.path=gone"],
            4,
            "gone",
        ),
        (
            ["run", "--attack", "badnet", "--model", "deepid"],
            2,
            "not applicable: deepid needs images of at least 31x31",
        ),
        (["run", "--config", "gone.yaml"], 2, "gone.yaml"),
        (["rum"], 2, "did you mean 'run'"),
        (["sensitivity", "defense.anp", "--seed", "-1"], 2, "-1 is not in the range"),
    ],
)
def test_errors_have_their_exit_code(
    tmp_path: Path, words: list[str], code: int, told: str
) -> None:
    ended = benchbd(*words, cwd=tmp_path)
    assert ended.returncode == code, ended.stderr
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "record" / "bad"
    folder.mkdir(parents=True)
    (folder / "attack_result.pt").write_bytes(b"\x80\x04cposix\nsystem\n(S'touch marker'\ntR.")
    ended = benchbd("run", "--defense", "none", "--result-file", "bad", cwd=tmp_path)
    assert ended.returncode == 5 and "posix.system" in ended.stderr
    assert not (tmp_path / "marker").exists()


@pytest.mark.slow
def test_a_file_of_options(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "attack: badnet\ndefense: [none]\nname: filed\nset:\n  recipe: {epochs: 1}\n  model: "
        "{width: 4}\n  dataset: {size: 8}\n"
    )
    ended = benchbd("run", "--config", "mine.yaml", "--json", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "record/filed/attack_result.pt").is_file()
    (tmp_path / "typo.yaml").write_text("atack: badnet\n")
    assert "did you mean 'attack'" in benchbd("run", "--config", "typo.yaml", cwd=tmp_path).stderr


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--help"], ["list"], ["list", "attacks", "--json"]])
def test_help_and_list_load_neither_torch_nor_pandas(tmp_path: Path, words: list[str]) -> None:
    script = (
        "import sys\nfrom benchbd.cli.main import main\n"
        f"sys.argv = ['benchbd', *{words!r}]\n"
        "try: main()\nexcept SystemExit as end: code = end.code\n"
        "heavy = {'torch', 'pandas', 'numpy', 'pydantic', 'rich', 'benchbd_zoo'} & "
        "set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else code)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stderr


def test_info_tells_parameters_with_ranges(tmp_path: Path) -> None:
    told = json.loads(benchbd("info", "anp", "--json", cwd=tmp_path).stdout)
    by_name = {row["name"]: row for row in told["parameters"]}
    names = [
        "anp_eps",
        "anp_steps",
        "anp_alpha",
        "pruning_by",
        "pruning_max",
        "pruning_step",
        "pruning_number",
    ]
    assert {*names, "index", "acc_ratio", "ratio", "print_every", "nb_iter"} <= by_name.keys()
    assert (by_name["anp_eps"]["default"], by_name["anp_eps"]["range"]) == (0.4, ">= 0")
    assert told["paper"]["year"] == 2021


@pytest.mark.slow
def test_doctor_speaks(tmp_path: Path) -> None:
    ended = benchbd("doctor", cwd=tmp_path)
    assert ended.returncode == 0 and "torchvision" in ended.stdout and "bf16" in ended.stdout
    assert re.search(r"^processor +\S.*: \S+", ended.stdout, re.MULTILINE)
    agreed = r"^convolutions +\d+ shapes in fp32 and bf16 agree with float64$"
    assert re.search(agreed, ended.stdout, re.MULTILINE), ended.stdout
