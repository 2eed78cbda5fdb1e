"""What every table of points promises."""

from __future__ import annotations

from micrograph.core import Column

#: Columns of a table of points, in this order.
POINTS = (
    Column("frame", "", "number of the frame"),
    Column("y_nm", "nm", "row position from the centre of pixel (0, 0)", sigma="y_sigma_nm"),
    Column("x_nm", "nm", "column position from the centre of pixel (0, 0)", sigma="x_sigma_nm"),
    Column("y_sigma_nm", "nm", "1-sigma of y_nm"),
    Column("x_sigma_nm", "nm", "1-sigma of x_nm"),
    Column("class", "", "what it is"),
    Column("score", "", "probability that it is there and is what class says"),
    Column("intensity", "", "integrated intensity above background, in the image's own unit", sigma="intensity_sigma"),
    Column("intensity_sigma", "", "1-sigma of the intensity"),
    Column("flags", "", "doubts, see the conventions"),
)
