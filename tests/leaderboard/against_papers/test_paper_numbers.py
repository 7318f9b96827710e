"""Published numbers: typed YAML whose slips are named; the committed ones are of the protocol that
they name.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchbd.errors import ConfigError
from benchbd.leaderboard.against_papers.paper_numbers import load_published
from benchbd.matrices.plan import plan
from benchbd.running.protocol import load_protocol
from support.published_table import TABLE, table

COMMITTED = Path(__file__).parents[3] / "leaderboard" / "published"


def test_a_table_is_read(tmp_path: Path) -> None:
    found = table(tmp_path)
    assert (found.targets["patch"]["none"].acc, found.targets["patch"]["mend"].rc) == (91.0, None)
    assert (found.bars.of("none").asr, found.bars.of("mend").asr) == (5, 10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("left_out:", "left_uot:"), r"unknown key 'left_uot'; did you mean 'left_out'\?"),
        (("epochs: 2", "epoch: 2"), r"unknown key 'setting.epoch'; did you mean 'epochs'\?"),
        (
            ("params: {size: 3}", "parms: {size: 3}"),
            r"unknown key 'attacks.patch.parms'; did you mean 'params'\?",
        ),
        (
            ("none: {acc: 91.0, asr: 10.0, rc: 80.0}", "none: {acc: 91.0, asr: 10.0, rcc: 80.0}"),
            r"'targets.patch.none.rcc'.*'rc'\?",
        ),
        (("why: nobody", "way: nobody"), r"unknown key 'left_out.0.way'; did you mean 'why'\?"),
        (
            ("differs: smaller", "difers: smaller"),
            r"unknown key 'beside.difers'; did you mean 'differs'\?",
        ),
        (
            ("undefended: {acc: 1.5", "undefended: {acc: 0"),
            "bars.undefended.acc: .*greater than 0.*got 0",
        ),
        (("none: {acc: 91.0", "none: {acc: 910"), "targets.patch.none.acc: .*got 910"),
        (("none: {acc: 91.0", "none: {acc: .nan"), r"\.nan is no finite number"),
        (("protocol: trial@1", "protocol: trial"), "setting.protocol: .*got 'trial'"),
        (
            ("    mend: {acc", "    mand: {acc"),
            r"no defense 'mand' is described; did you mean 'mend'\?",
        ),
        (("note: a}", "note: b}"), "no note 'b' is described; there is a"),
        (("model: net", "model: no"), "model takes no yes or no"),
        (("seeds: 1", "seeds: 0"), "source.seeds: .*got 0"),
    ],
)
def test_slips_are_named(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    assert TABLE.count(change[0]) == 1
    with pytest.raises(ConfigError, match=message):
        table(tmp_path, TABLE.replace(*change))


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no published numbers in"):
        load_published(tmp_path)


def test_the_targets_that_are_committed_are_cells_of_their_protocol() -> None:
    for found in load_published(COMMITTED):
        protocol = load_protocol(found.setting.protocol.partition("@")[0])
        assert (protocol.id, protocol.recipe.epochs, protocol.clean_budget) == (
            found.setting.protocol,
            found.setting.epochs,
            found.setting.clean_budget,
        )
        planned = {}
        for cell in plan(protocol):
            about = cell.coordinates
            records = (about.dataset, about.model, about.attack, about.defense)
            dataset, model, attack, defense = (record.params for record in records)
            if attack["poison_ratio"] == found.setting.poison_ratio:
                planned[cell.job.attack.record.name, cell.defense.record.name] = attack, defense
                assert [cell.job.dataset.record.name, cell.job.model.record.name] == [
                    found.setting.dataset.name,
                    found.setting.model.name,
                ]
                assert found.setting.dataset.params.items() <= dataset.items()
                assert found.setting.model.params.items() <= model.items()
        for attack_name, row in found.targets.items():
            for defense_name in row:
                attack, defense = planned[attack_name, defense_name]
                assert found.attacks[attack_name].params.items() <= attack.items()
                assert found.defenses[defense_name].params.items() <= defense.items()
