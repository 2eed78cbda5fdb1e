"""Units of columns, where a recipe does not state them: by the endings of their names."""

#: Endings of column names with the unit as a reader writes it; longest first.
UNITS = {
    "_nm2_per_s": "nm² s⁻¹", "_per_nm2": "nm⁻²", "_per_nm": "nm⁻¹", "_per_s": "s⁻¹", "_percent": "%", "_nm2": "nm²",
    "_mrad": "mrad", "_mbar": "mbar", "_deg": "°", "_ms": "ms", "_nm": "nm", "_kV": "kV", "_mV": "mV", "_nA": "nA",
    "_pA": "pA", "_eV": "eV", "_Pa": "Pa", "_C": "°C", "_K": "K", "_V": "V", "_A": "A", "_s": "s",
}  # fmt: skip


def unit_of(column: str) -> str:
    """Return the unit that ends a column's name, '' if none does.

    >>> unit_of("area_sigma_nm2"), unit_of("count")
    ('nm²', '')
    """
    return next((unit for ending, unit in UNITS.items() if column.endswith(ending)), "")
