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
        "badnet on digits, resnet_small, seed 0: attacking",
        "badnet: anp, seed 0",
    ]
    (cell,) = json.loads(made.stdout)["cells"]
    assert cell["cell"]["defense"]["name"] == "anp" and cell["status"]["code"] == "ok"
    assert {"metrics", "baseline", "counts", "cost", "provenance", "flags", "curves"} <= cell.keys()
    again = benchbd(*words, cwd=tmp_path)
    assert "used again" in again.stdout and "ASR %" in again.stdout
    assert again.stderr.splitlines() == ["badnet: anp, seed 0"]
    for line in again.stdout.partition("written:")[2].split():
        assert (tmp_path / line).is_file()


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["run", "--attack", "badnets"], 3, "did you mean 'badnet'"),
        (["run", "--attack", "badnet", "--set", "attack.size=big"], 2, "expected size"),
        (["run", "--attack", "badnet", "--set", "size"], 2, "KIND.PARAM=VALUE"),
        (
            ["run", "--attack", "badnet", "--attack", "sig"],
            2,
            "--attack': expected one value, got badnet, sig",
        ),
        (
            ["run", "--attack", "badnet", "--seed", "0", "--seed", "1"],
            2,
            "expected one value, got 0, 1",
        ),
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
    agreed = r"^convolutions \d+ shapes in fp32 and bf16 agree with float64$"
    assert re.search(agreed, ended.stdout, re.MULTILINE), ended.stdout
