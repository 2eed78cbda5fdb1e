"""Files of scanning probe microscopes: Nanonis, Gwyddion, Igor (Asylum), Nanoscope (Bruker), NT-MDT and
Matrix (Scienta Omicron).

Each module offers ``signals(path)``: every channel of a scan, rows from top to bottom and columns from left to right
whichever way the tip went, in nm, nA or what else the channel measures.
"""
