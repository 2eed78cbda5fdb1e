"""Units in the names of columns: which unit a name ends with, and names that belong together (`a_nm`, `a_sigma_nm`)."""

#: Endings of column names with the unit as a reader writes it; longest first.
UNITS = {
    "_nm2_per_s": "nm² s⁻¹", "_per_nm2": "nm⁻²", "_per_nm": "nm⁻¹", "_per_s": "s⁻¹", "_percent": "%", "_mrad": "mrad",
    "_mbar": "mbar", "_nm3": "nm³", "_nm2": "nm²", "_deg": "°", "_ms": "ms", "_nm": "nm", "_kV": "kV", "_mV": "mV",
    "_nA": "nA", "_pA": "pA", "_eV": "eV", "_Pa": "Pa", "_C": "°C", "_K": "K", "_V": "V", "_A": "A", "_s": "s",
}  # fmt: skip


def unit_of(column: str) -> str:
    """Return the unit that ends a column's name, '' if none does.

    >>> unit_of("area_sigma_nm2"), unit_of("count")
    ('nm²', '')
    """
    return UNITS.get(_ending(column), "")


def worded(column: str, word: str) -> str:
    """Return a column's name with a word before its unit.

    >>> worded("density_per_nm2", "sigma"), worded("count", "low90")
    ('density_sigma_per_nm2', 'count_low90')
    """
    ending = _ending(column)
    return f"{column.removesuffix(ending)}_{word}{ending}"


def sigma_of(column: str) -> str:
    """Return the name of the 1-sigma column of `column`: `_sigma` before its unit."""
    return worded(column, "sigma")


def _ending(column: str) -> str:
    return next((ending for ending in UNITS if column.endswith(ending)), "")
