"""How long something takes, in words."""


def duration(value: float | None) -> str:
    """Return seconds in the unit that suits them; "" for ``None`` and for no number."""
    if value is None or value != value:
        return ""
    if value < 10:
        return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    if value < 7200:
        return f"{value / 60:.0f} min"
    return f"{value / 3600:.1f} h"
