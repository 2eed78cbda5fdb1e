"""The images of graphene and of dichalcogenide monolayers from which the shipped networks learned."""

from __future__ import annotations

from micrograph.simulate.optics import Microscope
from micrograph.simulate.sampler import StemSampler
from micrograph.structures import random_graphene, random_monolayer

#: Graphene with silicon and defects at 60 to 80 kV: weights 'graphene-1'.
GRAPHENE_IMAGES = StemSampler(
    structure=random_graphene,
    pixel_nm=(0.009, 0.03),
    voltage_kV=(60.0, 80.0),
    dose_e_per_A2=(8e3, 2e6),
    microscope={"defocus_nm": (-4.0, 4.0), "astigmatism_nm": (0.0, 2.0), "coma_nm": (0.0, 60.0)},
    scan={"line_noise": (0.0, 0.01), "background": (0.0, 3e-4)},
)
#: MoS2, WS2, MoSe2 and WSe2 with vacancies and dopants at 60 to 120 kV: weights 'tmd-1'.
MONOLAYER_IMAGES = StemSampler(
    structure=random_monolayer,
    pixel_nm=(0.009, 0.03),
    voltage_kV=(60.0, 120.0),
    dose_e_per_A2=(1.5e3, 1e6),
    microscope={"defocus_nm": (-4.0, 4.0), "astigmatism_nm": (0.0, 2.0), "coma_nm": (0.0, 60.0)},
    scan={"line_noise": (0.0, 0.02), "background": (0.0, 1e-3)},
)
#: The microscope that recorded a monolayer, where the recording does not say.
MONOLAYER_MICROSCOPE = Microscope(voltage_kV=80.0, convergence_mrad=30.0, inner_mrad=65.0, outer_mrad=200.0)
