"""Pictures of foreign results: names stay in their folder, and sizes are looked at first."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from PIL import Image

from benchbd.errors import DataError
from benchbd.importing.pictures import inside, read_pictures, scaled


@pytest.mark.parametrize("parts", [("..", "a"), ("a/b",), ("",), ("a\\b",), ("link", "a")])
def test_names_and_links_of_images(tmp_path: Path, parts: tuple[str, ...]) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to(tmp_path)
    with pytest.raises(DataError, match="leads out of"):
        inside(tmp_path / "folder", *parts)


def test_an_image_that_claims_more_pixels_than_memory(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, "BMP")
    content = bytearray(buffer.getvalue())
    content[18:26] = (10_000).to_bytes(4, "little") * 2
    (tmp_path / "a.bmp").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.bmp: expected at most 67,108,864 pixels"):
        read_pictures([tmp_path / "a.bmp"], (3, 8, 8))


def test_pictures_come_in_one_shape(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), (10, 20, 30)).save(tmp_path / "colour.png")
    Image.new("L", (4, 4), 40).save(tmp_path / "grey.png")
    found = read_pictures([tmp_path / "colour.png", tmp_path / "grey.png"], (3, 8, 8))
    assert found.shape == (2, 3, 8, 8) and found.dtype == torch.uint8
    assert found[0].flatten(1).unique(dim=1).flatten().tolist() == [10, 20, 30]
    assert found[1].unique().tolist() == [40]


def test_all_that_cannot_be_read_are_named_at_once(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.png" for name in ("a", "b", "c", "d")]
    for path in paths:
        Image.new("RGB", (4, 4)).save(path)
    for path in (paths[1], paths[3]):
        path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError) as caught:
        read_pictures(paths, (3, 4, 4))
    first, *others = str(caught.value).splitlines()
    assert first.startswith("2 images cannot be read")
    assert [name in line for name, line in zip(("b.png", "d.png"), others, strict=True)] == [
        True
    ] * 2


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_scaled_as_pictures_are(channels: int, tmp_path: Path) -> None:
    images = torch.arange(channels * 64, dtype=torch.uint8).reshape(1, channels, 8, 8)
    assert scaled(images, 8, 8) is images
    picture = images[0, 0] if channels == 1 else images[0].permute(1, 2, 0)
    Image.fromarray(picture.numpy()).save(tmp_path / "a.png")
    assert torch.equal(scaled(images, 4, 6), read_pictures([tmp_path / "a.png"], (channels, 4, 6)))
