"""What files hold, as numbers of one shape."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image

from distillery.datasets import _decode
from tests.unit.datasets import drawn

COLOURS = drawn.pixels(1, 8, 8, 3)
ALPHA = drawn.pixels(2, 8, 8, 4)
GREY = drawn.pixels(3, 8, 8, 1)


def decode(source, size=(8, 8), channels=3, **changes):
    return _decode.decode(source, drawn.settings(**changes), size, channels)


def written(image, form="PNG", **options):
    content = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(
        content, form, **options
    )
    return content.getvalue()


def nhwc(image):
    return np.moveaxis(image, 0, -1)


def refusal(source, **changes):
    with pytest.raises(_decode.UnreadableError) as caught:
        decode(source, **changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "form, options",
    [
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_lossless_forms_give_the_pixels_that_were_written(form, options, tmp_path):
    content = written(COLOURS, form, **options)
    assert np.array_equal(nhwc(decode(content)), COLOURS)
    # An ending says nothing of what is in a file.
    path = tmp_path / "été 1.JPG"
    path.write_bytes(content)
    assert np.array_equal(nhwc(decode(str(path))), COLOURS)


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_lossy_forms_are_near(form):
    smooth = np.linspace(0, 255, 8 * 8 * 3).reshape(8, 8, 3).astype(np.uint8)
    found = nhwc(decode(written(smooth, form, quality=95)))
    assert np.abs(found.astype(int) - smooth).max() < 30


# ---- channels ------------------------------------------------------------------------------------


def test_grey_becomes_colour_and_colour_grey_by_the_luma():
    assert np.array_equal(decode(written(GREY)), np.stack([GREY] * 3))
    luma = decode(written(COLOURS), channels=1)
    wanted = COLOURS @ np.array([0.299, 0.587, 0.114])
    assert luma.shape == (1, 8, 8) and np.abs(luma[0] - wanted).max() <= 1
    bits = Image.fromarray(GREY > 127)
    assert bits.mode == "1"
    assert np.array_equal(decode(written(bits), channels=1)[0], (GREY > 127) * 255)


@pytest.mark.parametrize("background, shade", [("white", 255), ("black", 0)])
def test_transparent_pixels_show_the_background(background, shade):
    alpha = ALPHA[..., 3:] / 255
    wanted = ALPHA[..., :3] * alpha + shade * (1 - alpha)
    found = nhwc(decode(written(ALPHA), background=background))
    assert np.abs(found - wanted).max() <= 1
    clear = ALPHA.copy()
    clear[..., 3] = 0
    assert (decode(written(clear), background=background) == shade).all()


def test_alpha_is_kept_where_a_channel_holds_it():
    assert np.array_equal(nhwc(decode(written(ALPHA), channels=4)), ALPHA)
    opaque = decode(written(COLOURS), channels=4)
    assert np.array_equal(nhwc(opaque[:3]), COLOURS) and (opaque[3] == 255).all()
    pair = np.stack([GREY, ALPHA[..., 3]], 2)
    assert np.array_equal(nhwc(decode(written(Image.fromarray(pair, "LA")), channels=2)), pair)
    assert np.array_equal(decode(written(ALPHA), channels=2)[1], ALPHA[..., 3])
    both = decode(written(COLOURS), channels=2)
    assert (both[1] == 255).all() and np.array_equal(both[:1], decode(written(COLOURS), channels=1))


def test_a_palette_is_read_with_its_transparent_colour():
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.paste(1, (0, 0, 4, 8))
    found = decode(written(image))
    assert found[:, 0, 0].tolist() == [200, 100, 50] and found[:, 0, 7].tolist() == [10, 20, 30]
    found = decode(written(image, transparency=0))
    assert found[:, 0, 0].tolist() == [200, 100, 50] and found[:, 0, 7].tolist() == [255] * 3
    found = decode(written(image, "GIF", transparency=0), background="black")
    assert found[:, 0, 0].tolist() == [200, 100, 50] and found[:, 0, 7].tolist() == [0] * 3


def test_a_transparent_colour_of_a_png_without_alpha_counts():
    image = COLOURS.copy()
    image[0, 0] = (1, 2, 3)
    content = written(image, transparency=(1, 2, 3))
    assert decode(content)[:, 0, 0].tolist() == [255] * 3


def test_cmyk_becomes_colours():
    image = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    assert np.abs(decode(written(image, "TIFF"))[:, 0, 0].astype(int) - (0, 255, 255)).max() <= 1
    found = decode(written(image, "JPEG"))[:, 0, 0].astype(int)
    assert np.abs(found - (0, 255, 255)).max() < 12


def test_sixteen_bits_become_eight_by_the_whole_range_or_by_the_one_named():
    image = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1040
    for form in ("PNG", "TIFF"):
        found = decode(written(image, form), channels=1)[0]
        assert np.array_equal(found, np.rint(image / 257).astype(np.uint8))
    found = decode(written(image), channels=1, range=[0, 4095])[0]
    assert np.array_equal(found, np.clip(np.rint(image * (255 / 4095)), 0, 255))
    assert (decode(written(image)) == decode(written(image), channels=1)).all()


def test_floats_need_their_range():
    image = np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8)
    assert "values of 32 bits, from -1 to 1; say by `range`" in refusal(written(image, "TIFF"))
    found = decode(written(image, "TIFF"), channels=1, range=[-1, 1])[0]
    assert found[0, 0] == 0 and found[-1, -1] == 255 and found[3, 7] in (125, 126, 127)


# ---- which image, and which way up ---------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_that_a_camera_wrote_is_applied(orientation):
    turned = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: np.rot90(np.fliplr(a), 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(np.fliplr(a), 3),
        8: lambda a: np.rot90(a, 3),
    }[orientation]
    upright = drawn.pixels(7, 8, 12, 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = written(np.ascontiguousarray(turned(upright)), exif=exif)
    assert np.array_equal(nhwc(decode(content, (8, 12))), upright)


def test_of_several_frames_or_pages_the_first_counts():
    first, second = Image.fromarray(GREY), Image.fromarray(255 - GREY)
    for form in ("GIF", "TIFF", "PNG"):
        content = written(first, form, save_all=True, append_images=[second])
        assert np.array_equal(decode(content, channels=1)[0], GREY)


# ---- size ----------------------------------------------------------------------------------------


def test_another_shape_is_cropped_padded_or_stretched():
    image = np.zeros((10, 20, 3), np.uint8)
    image[:, 5:15] = 200  # what a crop keeps
    content = written(image)
    assert (decode(content, (10, 10)) == 200).all()
    padded = decode(content, (20, 20), fit="pad")
    assert (padded[:, :5] == 255).all() and (padded[:, 15:] == 255).all()
    assert np.array_equal(nhwc(padded[:, 5:15]), image)
    padded = decode(content, (20, 20), fit="pad", background="black")
    assert (padded[:, :5] == 0).all()
    stretched = decode(content, (10, 10), fit="stretch", resize="nearest")
    assert (stretched[:, :, 3:7] == 200).all() and (stretched[:, :, :2] == 0).all()
    assert (decode(written(ALPHA[:4]), (8, 8), channels=4, fit="pad")[3, :2] == 0).all()
    assert decode(written(GREY[:4]), (8, 8), channels=1, fit="pad")[0, 0, 0] == 255
    pair = Image.fromarray(np.stack([GREY, GREY], 2)[:4], "LA")
    assert (decode(written(pair), (8, 8), channels=2, fit="pad")[:, 0, 0] == (255, 0)).all()


@pytest.mark.parametrize("method", ["bicubic", "lanczos", "bilinear", "box", "nearest"])
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_the_size_is_what_was_asked_for_whatever_the_image(method, fit):
    for shape in ((1, 1), (8, 200), (200, 8), (31, 17)):
        content = written(drawn.pixels(0, *shape))
        found = decode(content, (9, 13), fit=fit, resize=method)
        assert found.shape == (3, 9, 13) and found.dtype == np.uint8
    even = written(np.full((31, 17, 3), 77, np.uint8))
    assert (decode(even, (9, 9), fit="stretch", resize=method) == 77).all()


@pytest.mark.slow
def test_a_large_photograph_is_decoded_at_a_fraction_and_looks_the_same():
    y, x = np.mgrid[:1600, :2400]
    image = np.stack([x * 255 / 2400, y * 255 / 1600, (x + y) % 256], 2).astype(np.uint8)
    content = written(image, "JPEG", quality=95)
    exact = np.asarray(Image.fromarray(image).resize((24, 16), Image.Resampling.BICUBIC))
    found = nhwc(decode(content, (16, 24)))
    assert np.abs(found[..., :2].astype(int) - exact[..., :2]).max() <= 4


# ---- what cannot be read -------------------------------------------------------------------------


def test_what_is_no_image_or_is_cut_short_is_refused():
    assert refusal(b"") == "is empty"
    assert refusal(b"no image") == "is no image of a kind that is read"
    for form in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"):
        whole = written(drawn.pixels(0, 64, 64), form)
        assert refusal(whole[: len(whole) // 2])
    damaged = bytearray(written(drawn.pixels(0, 64, 64)))
    damaged[len(damaged) // 2] ^= 0xFF
    assert refusal(bytes(damaged))


def test_a_file_that_may_not_be_read_or_is_gone_is_said(tmp_path):
    assert refusal(str(tmp_path / "none.png")) == "No such file or directory"
    assert refusal(str(tmp_path)) == "Is a directory"


@pytest.mark.slow
def test_any_damage_is_an_error_of_the_image_and_no_other():
    """Whatever byte is another: pixels of the right shape, or one line."""
    random = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for form in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"):
            whole = written(drawn.pixels(0, 32, 32), form)
            for _ in range(60):
                damaged = bytearray(whole)
                for place in random.integers(0, len(whole), 3):
                    damaged[place] = random.integers(256)
                try:
                    assert decode(bytes(damaged)).shape == (3, 8, 8)
                except _decode.UnreadableError as error:
                    assert str(error) and "\n" not in str(error)


def test_a_file_that_unfolds_into_too_many_pixels_is_refused(monkeypatch):
    small = written(np.zeros((64, 64), np.uint8))
    monkeypatch.setattr(_decode, "MOST_PIXELS", 1000)
    assert refusal(small) == "has 64 x 64 pixels, more than the 1,000 that are read"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow's own limit
    assert "too large" in refusal(small)
