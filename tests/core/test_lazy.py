import sys

from shipworthy.core.lazy import Lazy


def test_a_module_is_imported_when_something_of_it_is_asked():
    sys.modules.pop("colorsys", None)
    module = Lazy("colorsys")
    assert "colorsys" not in sys.modules
    assert module.rgb_to_hsv(0, 0, 0) == (0.0, 0.0, 0)
    assert "colorsys" in sys.modules


def test_what_was_asked_once_is_kept():
    module = Lazy("colorsys")
    assert module.rgb_to_hsv is module.rgb_to_hsv
    assert "rgb_to_hsv" in vars(module)
